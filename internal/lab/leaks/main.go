// Command leaks searches files for the passwords of the tests' mailboxes, in
// plain, base64, URLs and more, and exits with status 1 if it finds one. `make
// test` runs it over the output of all tests.
package main

import (
	"fmt"
	"os"

	"github.com/mailkeep/mailkeep/internal/lab"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(files []string) int {
	if len(files) == 0 {
		fmt.Fprintln(os.Stderr, "usage: leaks file...")
		return 2
	}
	status := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			fmt.Fprintln(os.Stderr, "leaks:", err)
			return 2
		}
		for _, l := range lab.Leaks(text, lab.Secrets()...) {
			fmt.Fprintf(os.Stderr, "leaks: %s: %s\n", f, l)
			status = 1
		}
	}
	return status
}
