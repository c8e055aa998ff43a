package app

import (
	"runtime/debug"
)

// Software names this build, such as "mailkeep v1.2.0" or "mailkeep devel
// 0123456789ab", for the records that it writes.
func Software() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "mailkeep"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "mailkeep " + version
}
