// Package configs reads the configuration of mailkeep: one documented struct
// (Config), merged from four sources by koanf.
//
// # Sources
//
// Later sources override earlier ones, key by key:
//
//  1. the defaults, which stand in the tags of Config;
//  2. the configuration file, in YAML;
//  3. the environment: the variable of a key is MAILKEEP_ and the key in upper
//     case with underscores for dots, so poll.logins_per_minute is
//     MAILKEEP_POLL_LOGINS_PER_MINUTE;
//  4. command-line flags that were given: the flag of a key is the key with
//     hyphens for dots and underscores, so log.level is --log-level.
//
// The lists, hosts and mailboxes, come from files only. A relative file name is
// relative to the directory of the file that it is written in; one given by
// environment or flag, to the working directory.
//
// # Faults
//
// A configuration is taken as a whole or not at all. Unknown keys are refused
// in files and in the environment, since a misspelt key is a setting that
// silently does not hold. All faults are found in one run and returned together
// as Faults; each says where it is, what is wrong and what to do.
//
// # Secrets
//
// No configuration holds a secret. Secret refers to a file or an environment
// variable, prints as "[hidden]", and is read when it is used. A password
// written into the configuration is refused.
package configs
