package telemetry

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAlertRules: each metric and each of its labels that the rules name is
// defined. That the file is YAML of the right form is tested in configs, which
// alone reads YAML.
func TestAlertRules(t *testing.T) {
	b, err := os.ReadFile("../../configs/deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, d := range NewMetrics(Options{}).Definitions() {
		labels[d.Name] = d.Labels
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(mailkeep_\w+)(?:\{(\w+)=)?`).FindAllStringSubmatch(string(b), -1) {
		name, label := m[1], m[2]
		used[name] = true
		known, ok := labels[name]
		if !ok {
			t.Errorf("the rules name %s, which is not defined", name)
		} else if label != "" && !slices.Contains(known, label) {
			t.Errorf("the rules name the label %s of %s, which has %v", label, name, known)
		}
	}
	if len(used) < 12 {
		t.Errorf("only %d metrics were found in the rules", len(used))
	}
}

// The documentation names no metric that is not defined.
func TestDocumentsNameMetrics(t *testing.T) {
	known := map[string]bool{}
	for _, d := range NewMetrics(Options{}).Definitions() {
		known[d.Name] = true
	}
	for _, file := range []string{"../../docs/operations.md", "../../README.md", "../../docs/architecture.md"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`mailkeep_\w+`).FindAllString(string(b), -1) {
			if !known[name] && !strings.HasSuffix(name, "_") {
				t.Errorf("%s names %s, which is not defined", file, name)
			}
		}
	}
}
