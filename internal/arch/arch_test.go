package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mailkeep/mailkeep"

// A tree is a folder of packages and what its packages may import of ours
// beside one another. Rooms do not know each other: internal/app adapts.
type tree struct {
	path string
	may  []string
}

// trees are ordered so that the first match is the most special one.
var trees = []tree{
	{"cmd/mailkeep", []string{"mail", "configs", "internal/app", "sink", "indexer"}},
	{"mail", nil},
	{"configs", []string{"mail"}},
	{"poller", []string{"mail"}},
	{"parser", []string{"mail"}},
	{"indexer", []string{"mail", "internal/durable"}},
	{"sink", []string{"mail", "internal/durable"}},
	{"internal/app", []string{"mail", "configs", "poller", "parser", "indexer", "sink", "internal/bus", "internal/web", "internal/telemetry", "internal/durable", "docs"}},
	{"docs", nil}, // documents that the program carries
	{"internal/bus", []string{"mail", "internal/durable"}},
	{"internal/web", []string{"mail"}},
	{"internal/telemetry", []string{"mail"}},
	{"internal/durable", []string{"mail"}}, // for the kinds of errors: in use, no space
	{"internal/lab", []string{"mail"}},     // for tests alone; see TestTestPackages
	{"internal/arch", nil},
}

// homes name the only trees that may import a heavy dependency, so that it can
// be replaced by changing one room. A longer prefix goes before its shorter one.
var homes = []struct {
	prefix string
	homes  []string
	why    string
}{
	{"github.com/nats-io/", []string{"internal/bus"}, "rooms know no transport"},
	{"github.com/synadia-io/", []string{"internal/bus"}, "rooms know no transport"},
	{"github.com/blevesearch/", []string{"indexer"}, "no type of the engine leaves the index"},
	{"github.com/RoaringBitmap/", []string{"indexer"}, "no type of the engine leaves the index"},
	{"go.etcd.io/bbolt/errors", []string{"sink", "indexer"}, "the engine's lock errors are bbolt's"},
	{"go.etcd.io/bbolt", []string{"sink/catalog", "indexer/threads"}, "only the catalog and the threads are databases"},
	{"github.com/spf13/cobra", []string{"cmd/mailkeep"}, "commands are the edge"},
	{"github.com/vbauerster/", []string{"cmd/mailkeep"}, "commands are the edge"},
	{"github.com/spf13/pflag", []string{"cmd/mailkeep", "configs"}, "flags are a source of the configuration"},
	{"github.com/knadh/koanf", []string{"configs"}, "rooms know no configuration"},
	{"github.com/netresearch/go-cron", []string{"configs"}, "the poller asks a timetable for the next time only"},
	{"github.com/go-viper/mapstructure", []string{"configs"}, "rooms know no configuration"},
	{"go.yaml.in/yaml", []string{"configs"}, "rooms know no configuration"},
	{"github.com/emersion/go-message", []string{"parser"}, "one reader of mail"},
	{"github.com/prometheus/", []string{"internal/telemetry"}, "rooms report through interfaces"},
	{"github.com/klauspost/compress", []string{"sink/ledger"}, "one format on disk"},
	{"github.com/minio/minio-go", []string{"sink/store"}, "one client of S3"},
	{"filippo.io/age", []string{"sink/keys"}, "one place that gives keys away"},
	{"github.com/digitorus/", []string{"sink/tlog"}, "one verifier of time stamps"},
	{"github.com/xdg-go/", []string{"poller/pop3"}, "one client of POP3"},
	{"golang.org/x/oauth2", []string{"poller/oauth"}, "one source of tokens"},
	{"github.com/bodgit/", []string{"parser/extract"}, "one reader of documents"},
	{"github.com/nwaples/", []string{"parser/extract"}, "one reader of documents"},
	{"github.com/ulikunitz/", []string{"parser/extract"}, "one reader of documents"},
	{"golang.org/x/net/proxy", []string{"poller/proxy"}, "one way through proxies"},
}

// testOnly are packages that production code may not import.
var testOnly = []string{"internal/lab", "internal/bus/bustest", "internal/durable/durabletest"}

// A pkg is what go list tells of a package.
type pkg struct {
	ImportPath   string
	Dir          string
	Doc          string
	Name         string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	GoFiles      []string
}

// rel returns the path inside the module, and whether it is inside.
func rel(importPath string) (string, bool) { return strings.CutPrefix(importPath, module+"/") }

func within(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

// root returns the directory of the module.
func root(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// packages lists the module; what does not compile is listed too.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Doc,Name,Imports,TestImports,XTestImports,Deps,GoFiles", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 8 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func treeOf(path string) *tree {
	for i := range trees {
		if within(path, trees[i].path) {
			return &trees[i]
		}
	}
	return nil
}

// breaks returns the packages of ours among imports that p may not import.
func breaks(p string, imports []string) []string {
	t := treeOf(p)
	var bad []string
	for _, imp := range imports {
		r, ours := rel(imp)
		if !ours || t == nil || within(r, t.path) {
			continue
		}
		if !slices.ContainsFunc(t.may, func(allowed string) bool { return within(r, allowed) }) {
			bad = append(bad, r)
		}
	}
	return bad
}

// TestImports enforces the table on what each package imports; for the rooms,
// also on what it imports through others.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := rel(p.ImportPath)
		if treeOf(path) == nil {
			t.Errorf("%s is in no tree: add it to the table", path)
			continue
		}
		imports := p.Imports
		if !within(path, "cmd/mailkeep") && !within(path, "internal/app") {
			imports = p.Deps
		}
		for _, bad := range breaks(path, imports) {
			t.Errorf("%s must not import %s", path, bad)
		}
	}
}

// TestHomes enforces that heavy dependencies are imported in one place.
func TestHomes(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := rel(p.ImportPath)
		for _, imp := range p.Imports {
			if home := homeBroken(path, imp); home != "" {
				t.Errorf("%s must not import %s: %s", path, imp, home)
			}
		}
	}
}

// homeBroken returns why path may not import imp, or "".
func homeBroken(path, imp string) string {
	for _, h := range homes {
		if !strings.HasPrefix(imp, h.prefix) {
			continue
		}
		if slices.ContainsFunc(h.homes, func(home string) bool { return within(path, home) }) {
			return ""
		}
		return h.why + " (" + strings.Join(h.homes, ", ") + ")"
	}
	return ""
}

// TestTestPackages keeps the tools of tests out of the program.
func TestTestPackages(t *testing.T) {
	for _, p := range packages(t) {
		path, _ := rel(p.ImportPath)
		if slices.ContainsFunc(testOnly, func(tool string) bool { return within(path, tool) }) {
			continue
		}
		for _, imp := range p.Imports {
			if r, ours := rel(imp); ours && slices.Contains(testOnly, r) {
				t.Errorf("%s imports %s, which is for tests", path, r)
			}
		}
	}
}

// TestPackageDocs: each package says what it is.
func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command "
		}
		if len(p.GoFiles) > 0 && !strings.HasPrefix(p.Doc, want) {
			t.Errorf("the comment of %s must begin with %q, not %q", p.ImportPath, want, p.Doc)
		}
	}
}

// TestTheRulesCatch proves that the tables refuse what they are made for.
func TestTheRulesCatch(t *testing.T) {
	for _, tc := range []struct {
		path, imp string
		ok        bool
	}{
		{"poller", module + "/sink", false},
		{"poller/pop3", module + "/mail", true},
		{"mail", module + "/configs", false},
		{"sink/ledger", module + "/internal/durable", true},
		{"indexer", module + "/internal/bus", false},
		{"internal/app", module + "/indexer/query", true},
		{"internal/bus", module + "/poller", false},
		{"mailbox", module + "/mail", true}, // in no tree: TestImports reports that
	} {
		if got := len(breaks(tc.path, []string{tc.imp})) == 0; got != tc.ok {
			t.Errorf("%s imports %s: allowed %v", tc.path, tc.imp, got)
		}
	}
	for _, tc := range []struct {
		path, imp string
		ok        bool
	}{
		{"sink", "github.com/nats-io/nats.go", false},
		{"internal/bus", "github.com/nats-io/nats.go/jetstream", true},
		{"internal/app", "github.com/spf13/cobra", false},
		{"indexer", "go.etcd.io/bbolt", false},
		{"indexer", "go.etcd.io/bbolt/errors", true},
		{"poller", "golang.org/x/sync/semaphore", true},
	} {
		if got := homeBroken(tc.path, tc.imp) == ""; got != tc.ok {
			t.Errorf("%s imports %s: allowed %v", tc.path, tc.imp, got)
		}
	}
}
