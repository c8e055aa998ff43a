package app

import (
	"context"
	"errors"
	"slices"
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
	i := slices.IndexFunc(matters, func(m mail.Matter) bool { return strings.EqualFold(m.Matter, n.Value) && m.Holds() })
	if i < 0 {
		return nil, nil
	}
	seqs, err := c.HeldRecords(matters[i].Matter, query.MaxRecords+1)
	if err != nil {
		return nil, err
	}
	if len(seqs) > query.MaxRecords {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s:%s stands for more than %d messages", n.Name, n.Value, query.MaxRecords),
			"search for it without hold:, by what was held")
	}
	held := query.Or{query.Records{For: n, Seqs: seqs}}
	for _, box := range matters[i].Mailboxes {
		held = append(held, query.Exact{Name: "mailbox", Value: strings.ToLower(box)})
	}
	return held, nil
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
