// Package telemetry makes a running mailkeep visible: its logger, its metrics
// and its health.
//
// Nothing here is global. The process makes one Logger, one Metrics and one
// Health and hands them on. Metrics have a registry of their own, so that two
// applications in one process (as in tests) do not meet.
//
// Labels are bounded: a mailbox by the configuration, an outcome and a kind by
// the words of package mail. No metric and no log line holds a secret, the
// content of a message or the address of a correspondent.
package telemetry
