package pdf

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// marker names the file that says that the cache holds the engine of this
// program. The cache itself is keyed by hashes that only compiling tells.
func marker(dir string) string {
	var name strings.Builder
	name.WriteString("pdf-" + runtime.GOOS + "-" + runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasSuffix(m.Path, "/go-pdfium") || strings.HasSuffix(m.Path, "/wazero") {
				name.WriteString("-" + m.Version)
			}
		}
	}
	return filepath.Join(dir, name.String())
}

// Compiled reports whether the cache in a directory holds the engine.
func Compiled(dir string) bool {
	_, err := os.Stat(marker(dir))
	return err == nil
}

// MarkCompiled notes that it does.
func MarkCompiled(dir string) error { return os.WriteFile(marker(dir), nil, 0o600) }

// Forget takes the note back: what the cache holds is not usable.
func Forget(dir string) error {
	if err := os.Remove(marker(dir)); !os.IsNotExist(err) {
		return err
	}
	return nil
}
