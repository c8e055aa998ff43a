package telemetry

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of metrics")

// TestMetricsAreDocumented keeps the table of docs/operations.md equal to what
// is defined.
func TestMetricsAreDocumented(t *testing.T) {
	const file = "../../docs/operations.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, table, ok := strings.Cut(string(b), "| metric | type | labels | tells |\n|---|---|---|---|\n")
	if !ok {
		t.Fatalf("%s has no table of metrics", file)
	}
	head := string(b[len(before) : len(b)-len(table)])
	after := ""
	if i := strings.Index("\n"+table, "\n\n"); i >= 0 {
		table, after = table[:i], table[i:]
	}
	var want strings.Builder
	for _, d := range NewMetrics(Options{}).Definitions() {
		labels := "`" + strings.Join(d.Labels, "`, `") + "`"
		if len(d.Labels) == 0 {
			labels = ""
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, labels, d.Help)
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+head+want.String()+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(want.String(), table); d != "" {
		t.Errorf("the table of metrics in %s is not what is defined; if that is meant, run go test -update:\n%s", file, d)
	}
}
