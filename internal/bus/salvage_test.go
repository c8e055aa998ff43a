package bus_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever description a crash has cut off, the next start makes the part anew,
// keeps what was in it, and leaves the others as they are.
func TestStoreCutOff(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(file string) error{
		"missing":  os.Remove,
		"empty":    func(file string) error { return os.Truncate(file, 0) },
		"replaced": func(file string) error { return os.WriteFile(file, []byte(`{"name":"x"}`), 0o600) },
	} {
		for _, file := range []string{"RAW/meta.inf", "RAW/meta.sum", "BIG/meta.inf", "KV_MB_STATE/meta.sum", "RAW/obs/archiver_0/meta.inf", "RAW/obs/archiver_0/meta.sum"} {
			if strings.Contains(file, "/obs/") && name != "missing" {
				continue // the server does not compare the checksum
			}
			t.Run(name+" "+strings.ReplaceAll(file, "/", " "), func(t *testing.T) {
				o := embedded(t)
				b := start(t, o)
				first := message(100)
				mustSend(t, b, delivery("m", "u", first), first)
				queued := !strings.HasPrefix(file, "RAW/meta")
				if strings.Contains(file, "/obs/") { // there is one once somebody consumes
					a := newArchive()
					consume(t, b, a.accept)
					eventually(t, "the message arrives", func() bool { return a.has("m", "u") })
					queued = false
				}
				shut(t, b)
				if err := harm(filepath.Join(o.Dir, "jetstream", "$G", "streams", file)); err != nil {
					t.Fatal(err)
				}
				b, a := start(t, o), newArchive()
				consume(t, b, a.accept)
				raw := message(1 << 20)
				if _, err := mustSend(t, b, delivery("m", "v", raw), raw).Receipt(within(t)); err != nil {
					t.Error(err)
				}
				a.holds(t, "m", "v", raw)
				if queued {
					eventually(t, "what was queued arrives", func() bool { return a.has("m", "u") })
				}
				aside, err := fs.Glob(os.DirFS(o.Dir), "aside/*-1")
				if err != nil || len(aside) != 1 {
					t.Errorf("set aside: %v, %v", aside, err)
				}
				shut(t, b)
			})
		}
	}
}
