package app

import (
	"context"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/retention"
	"github.com/mailkeep/mailkeep/sink/store"
)

// classRules are the classes of retention and who is in them, as configured.
func classRules(c *configs.Config) (*retention.Rules, error) {
	var classes []mail.Class
	for _, one := range c.Retention.Classes {
		years, days, err := one.Length()
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "retention.classes: %s: %w", one.Name, err)
		}
		classes = append(classes, mail.Class{Name: one.Name, Years: years, Days: days, EndOfYear: one.Start == "end-of-year"})
	}
	var rules []retention.Rule
	for _, one := range c.Retention.Rules {
		r := retention.Rule{Class: one.Class}
		r.Mailboxes, r.From, r.To, r.List = one.Lists()
		rules = append(rules, r)
	}
	other, err := defaultClass(c)
	if err != nil {
		return nil, err
	}
	return retention.NewRules(classes, rules, other)
}

// defaultClass is that of store.retention; zero where there is no store that retains.
func defaultClass(c *configs.Config) (mail.Class, error) {
	r := c.Store.Retention
	if c.Store.Kind == "none" || c.Store.Kind == "" || r.Mode == "none" {
		return mail.Class{}, nil
	}
	years, days, err := r.Length()
	if err != nil {
		return mail.Class{}, mail.Errorf(mail.Invalid, "store.retention.period: %w", err)
	}
	return mail.Class{Name: mail.ClassDefault, Years: years, Days: days, EndOfYear: r.Start == "end-of-year"}, nil
}

// classOf is what gives deliveries their class; nil where there are none.
func classOf(c *configs.Config) (func(mail.Delivery, []byte) mail.Class, error) {
	rules, err := classRules(c)
	if err != nil {
		return nil, err
	}
	if other, err := defaultClass(c); err != nil || other.IsZero() && len(c.Retention.Rules) == 0 {
		return nil, err
	}
	return func(d mail.Delivery, header []byte) mail.Class { return rules.Class(d, header, time.Now()) }, nil
}

// promised tells what the records of a segment were promised. Of segments that begin
// behind the present end of the ledger nothing is read: the configuration of this
// process tells what they are promised.
func promised(l source) func(ctx context.Context, first uint64) ([]store.Term, error) {
	end := l.Size()
	return func(ctx context.Context, first uint64) (terms []store.Term, err error) {
		if first >= end {
			return nil, nil
		}
		var segment *uint32
		for r, err := range l.Records(ctx, first) {
			if err != nil {
				return nil, err
			}
			if segment == nil {
				segment = &r.Segment
			}
			if r.Segment != *segment {
				break
			}
			c := r.Delivery.Class
			t := store.Term{Period: store.Period{Years: c.Years, Days: c.Days}, EndOfYear: c.EndOfYear}
			if !c.IsZero() && !slices.Contains(terms, t) {
				terms = append(terms, t)
			}
		}
		return terms, nil
	}
}
