package arch

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plan is the index of the poller's test plan.
const plan = "docs/pop3-tests.md"

var (
	planRow  = regexp.MustCompile(`(?m)^\| ([KSX]?[0-9]+) \| ([^|]+) \| ([^|]*) \|$`)
	planTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// planned returns the rows that the plan must have.
func planned() []string {
	var rows []string
	for _, part := range []struct {
		letter string
		last   int
	}{{"", 100}, {"K", 16}, {"S", 8}, {"X", 4}} {
		for n := 1; n <= part.last; n++ {
			rows = append(rows, fmt.Sprint(part.letter, n))
		}
	}
	return rows
}

// TestPlan: each row of the test plan is in its index, once and in order, and each
// has a test that there is.
func TestPlan(t *testing.T) {
	tests := make(map[string]bool)
	walk(t, ".go", func(path, text string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, m := range testFunc.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
	})
	index := ""
	walk(t, ".md", func(path, text string) {
		if path == plan {
			index = text
		}
	})
	for _, problem := range planProblems(index, tests) {
		t.Errorf("%s: %s", plan, problem)
	}
}

// planProblems returns what is wrong with the index, given the tests that there
// are.
func planProblems(index string, tests map[string]bool) (problems []string) {
	var rows []string
	for _, m := range planRow.FindAllStringSubmatch(index, -1) {
		rows = append(rows, m[1])
		names := planTest.FindAllStringSubmatch(m[3], -1)
		if len(names) == 0 {
			problems = append(problems, fmt.Sprintf("row %s names no test", m[1]))
		}
		for _, name := range names {
			if !tests[name[1]] {
				problems = append(problems, fmt.Sprintf("row %s: there is no %s", m[1], name[1]))
			}
		}
	}
	if !slices.Equal(rows, planned()) {
		problems = append(problems, fmt.Sprintf("the rows are %v", rows))
	}
	return problems
}

func TestPlanProblemsAreFound(t *testing.T) {
	var good strings.Builder
	for _, row := range planned() {
		fmt.Fprintf(&good, "| %s | something holds | `TestIt` |\n", row)
	}
	tests := map[string]bool{"TestIt": true}
	if p := planProblems(good.String(), tests); p != nil {
		t.Errorf("a good index: %v", p)
	}
	for what, index := range map[string]string{
		"a row is missing": strings.Replace(good.String(), "| 57 |", "| 5x |", 1),
		"no test":          strings.Replace(good.String(), "`TestIt`", "none", 1),
		"a test is gone":   strings.Replace(good.String(), "`TestIt`", "`TestThat`", 1),
	} {
		if planProblems(index, tests) == nil {
			t.Errorf("%s: not found", what)
		}
	}
}
