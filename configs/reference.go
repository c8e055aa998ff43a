package configs

import _ "embed"

//go:embed reference.yaml
var reference string

// Reference returns a commented YAML file of all keys with their defaults. It
// is itself a valid configuration that changes nothing. A test prints it from
// the comments of Config and compares.
func Reference() string { return reference }
