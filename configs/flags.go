package configs

import "github.com/spf13/pflag"

// AddFlags defines the flags that set keys. Load reads those that were given.
func AddFlags(fs *pflag.FlagSet) {
	for _, f := range []struct{ key, usage string }{
		{"archive.dir", "`directory` of the archive"},
		{"mailboxes_file", "YAML or CSV `file` with mailboxes"},
		{"nats.url", "`URL` of an external NATS cluster; empty embeds a server"},
		{"http.listen", "`host:port` for /healthz, /readyz and /metrics; empty is off"},
		{"log.format", "`form` of log lines: text or json"},
		{"log.level", "least `severity` that is logged: debug, info, warn or error"},
	} {
		fs.String(flagName(f.key), "", f.usage+" (key "+f.key+")")
	}
}
