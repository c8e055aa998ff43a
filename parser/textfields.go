package parser

import (
	"iter"
	"strings"
)

// textFields yields the fields of header blocks that are the text of a part, as
// reports have them: names in lower case, values unfolded. An empty name stands
// for the blank line between two blocks. Lines that are no field are skipped.
func textFields(text string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		var name string
		var value []string
		flush := func() bool {
			ok := name == "" || yield(name, strings.Join(value, " "))
			name, value = "", value[:0]
			return ok
		}
		for line := range strings.SplitSeq(text, "\n") {
			switch n := fieldName([]byte(line[:min(len(line), maxTextName)])); {
			case strings.TrimSpace(line) == "":
				if !flush() || !yield("", "") {
					return
				}
			case isWSP(line[0]):
				value = append(value, strings.TrimSpace(line))
			case n > 0:
				if !flush() {
					return
				}
				name = strings.ToLower(strings.TrimRight(line[:n], " \t"))
				value = append(value, strings.TrimSpace(line[n+1:]))
			}
		}
		flush()
	}
}

const maxTextName = 128 // octets of a line in which its name must end
