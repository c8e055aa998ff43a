package configs

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestAlertRulesAreRules reads the rules as Prometheus does: no unknown key,
// each alert named once, durations and brackets in order, and annotations that
// name only labels that the expression leaves.
func TestAlertRulesAreRules(t *testing.T) {
	f, err := os.Open("deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil || len(rules.Groups) != 1 || len(rules.Groups[0].Rules) < 10 {
		t.Fatalf("%v: %+v", err, rules)
	}
	seen := map[string]bool{}
	for _, r := range rules.Groups[0].Rules {
		if !regexp.MustCompile(`^Mailkeep[A-Za-z]+$`).MatchString(r.Alert) || seen[r.Alert] {
			t.Errorf("alert %q", r.Alert)
		}
		seen[r.Alert] = true
		if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
			t.Errorf("%s: for %q", r.Alert, r.For)
		}
		for _, pair := range []string{"()", "[]", "{}"} {
			if strings.Count(r.Expr, pair[:1]) != strings.Count(r.Expr, pair[1:]) {
				t.Errorf("%s: brackets %s are not in pairs: %s", r.Alert, pair, r.Expr)
			}
		}
		if r.Labels["severity"] != "warning" && r.Labels["severity"] != "critical" || r.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", r.Alert, r.Labels["severity"], r.Annotations["summary"])
		}
		if strings.Count(r.Annotations["summary"], "{{") != strings.Count(r.Annotations["summary"], "}}") {
			t.Errorf("%s: %s", r.Alert, r.Annotations["summary"])
		}
	}
}
