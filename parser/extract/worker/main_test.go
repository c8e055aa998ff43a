package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// TestMain lets the test binary be the processes of its pools. Documents whose
// name begins with "test:" make such a process misbehave.
func TestMain(m *testing.M) {
	if status, ours := dispatch(os.Args, misread); ours {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// misbehaviour is what documents can ask for by name in the tests.
var misbehaviour = map[string]func(doc extract.Document) extract.Result{
	"panic":  func(extract.Document) extract.Result { panic("a fault of a reader") },
	"exit":   func(extract.Document) extract.Result { os.Exit(3); return extract.Result{} },
	"stdout": func(extract.Document) extract.Result { fmt.Print("Zonk"); return extract.Result{} },
	"spin": func(extract.Document) extract.Result {
		for n := uint64(1); ; n++ {
			if n == 0 {
				return extract.Result{}
			}
		}
	},
	"memory": func(extract.Document) extract.Result {
		var all [][]byte
		for range 1 << 20 {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
		}
		return extract.Result{Detail: fmt.Sprint(len(all))}
	},
	"status": func(extract.Document) extract.Result {
		return extract.Result{Status: "splendid", Text: "x"}
	},
	"escape": func(doc extract.Document) extract.Result {
		b, err := json.Marshal(escapes(string(doc.Data)))
		if err != nil {
			panic(err)
		}
		return extract.Result{Status: mail.TextOK, Text: string(b)}
	},
	"threads": func(extract.Document) extract.Result {
		var started, all sync.WaitGroup
		end := make(chan struct{})
		for range 24 {
			started.Add(1)
			all.Go(func() {
				runtime.LockOSThread() // each has a thread of its own, all at once
				started.Done()
				<-end
			})
		}
		started.Wait()
		close(end)
		all.Wait()
		return extract.Result{Status: mail.TextOK, Text: "24 threads"}
	},
	"pid": func(extract.Document) extract.Result {
		return extract.Result{Status: mail.TextOK, Text: fmt.Sprint(os.Getpid())}
	},
	"length": func(doc extract.Document) extract.Result {
		return extract.Result{Status: mail.TextOK, Text: strings.Repeat("x", 1+len(doc.Data)/2)}
	},
}

// misread is the reader of the test's processes.
func misread(ctx context.Context, doc extract.Document, lim extract.Limits, tools extract.Tools) extract.Result {
	if what, ok := strings.CutPrefix(doc.Name, "test:"); ok {
		return misbehaviour[what](doc)
	}
	return extract.Text(ctx, doc, lim, tools)
}

// cacheDir is shared by all test runs of a user on the machine, because
// compiling takes many seconds.
func cacheDir(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = filepath.Join(os.TempDir(), fmt.Sprint("mailkeep-", os.Getuid()))
	}
	return filepath.Join(dir, "mailkeep")
}

func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	o.CacheDir = cacheDir(t)
	p := New(o)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
