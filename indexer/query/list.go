package query

import "slices"

// MaxValues is how many values of fields of a query may be alternatives to
// others of the same field without being terms of their own; see listFields.
const MaxValues = 500

// listFields are the fields whose values, where they are alternatives such as
// mailbox:a OR mailbox:b, count as one term together: the index unites their
// sets at once, each of which is there as it is. Who may see 300 mailboxes asks
// in each search for the messages of any of them.
var listFields = map[string]bool{
	"mailbox": true, "filetype": true, "message-id": true, "list": true, "lang": true, "defect": true, "parser": true, "extractor": true,
}

// listed takes a term back for each field of values that n has as an alternative
// and that is in seen, the fields of the alternatives before it.
func (p *parser) listed(seen map[string]bool, n Node) error {
	for _, name := range listsIn(n) {
		if !seen[name] {
			seen[name] = true
			continue
		}
		last := len(p.terms) - 1
		at := p.terms[last]
		p.terms = p.terms[:last]
		if p.values++; p.values >= MaxValues {
			return invalid(at, "the query has more than %d values of fields as alternatives", MaxValues)
		}
	}
	return nil
}

// listsIn returns the fields of values that n has as an alternative: each counts
// as one term in n.
func listsIn(n Node) (names []string) {
	kids, ok := n.(Or)
	if !ok {
		kids = Or{n}
	}
	for _, k := range kids {
		if e, ok := k.(Exact); ok && listFields[e.Name] && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}
