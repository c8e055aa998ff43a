package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version returns the command that says which build this is.
func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, the revision and the Go version",
		Example: `  mailkeep version`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			return renderVersion(p.stdout, info)
		},
	}
}

// renderVersion prints what the toolchain recorded in the binary; info may be
// nil.
func renderVersion(w io.Writer, info *debug.BuildInfo) error {
	version, revision, when, dirty := "unknown", "unknown", "", ""
	if info != nil {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value
			case "vcs.time":
				when = " of " + s.Value
			case "vcs.modified":
				if s.Value == "true" {
					dirty = ", with uncommitted changes"
				}
			}
		}
	}
	_, err := fmt.Fprintf(w, "mailkeep %s\nrevision %s%s%s\n%s %s/%s\n", version, revision, when, dirty,
		runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
