package app

import (
	"context"
	"errors"
	"strings"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/catalog"
)

// outsideOf tells a partition's index what its catalog knows: the legal holds.
// open gives the catalog, nil where this process has none.
func outsideOf(open func() (*catalog.Catalog, error)) indexer.OutsideFunc {
	return func(_ context.Context, n query.Exact) (query.Node, error) {
		if n.Name != "hold" {
			return nil, mail.Errorf(mail.Invalid, "%s: is not known in this archive", n.Name)
		}
		c, err := open()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return nil, mail.WithHint(mail.Errorf(mail.Invalid, "hold: cannot be searched for here: this process does not keep the archive"),
				"ask the process that has the role archive")
		}
		return heldUnder(c, n)
	}
}

// heldUnder returns what a matter holds now: mailboxes, and records one by one.
func heldUnder(c *catalog.Catalog, n query.Exact) (query.Node, error) {
	matters, err := c.Matters()
	if err != nil {
		return nil, err
	}
	var out query.Or
	for _, m := range matters { // names that differ by case alone are one in a query
		if !strings.EqualFold(m.Matter, n.Value) || !m.Holds() {
			continue
		}
		seqs, err := c.HeldRecords(m.Matter, query.MaxRecords+1)
		if err != nil {
			return nil, err
		}
		if len(seqs) > query.MaxRecords {
			return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s:%s stands for more than %d messages", n.Name, n.Value, query.MaxRecords),
				"search for it without hold:, by what was held")
		}
		out = append(out, query.Records{For: n, Seqs: seqs})
		for _, box := range m.Mailboxes {
			out = append(out, query.Exact{Name: "mailbox", Value: strings.ToLower(box)})
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// catalogOf opens the catalog of a partition for a client, if there is no process
// that has it open.
func (c *Client) catalogOf(p int) (*catalog.Catalog, error) {
	if c.catalogDoor != nil {
		return nil, nil
	}
	all, err := c.offlineCatalogs()
	if err != nil {
		return nil, err
	}
	if p >= len(all) {
		return nil, errors.New("internal error: a partition without a catalog")
	}
	return all[p], nil
}
