package app

import (
	"context"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// TestDrill: messages are found by their own words; one whose words in the index are
// wrong is not, and the drill, the ledger and verify tell so: beside the process that
// has the index, and without one.
func TestDrill(t *testing.T) {
	p := newPlant(t, 6, "", "office")
	p.drain(t)
	a, err := New(t.Context(), p.config, nil, console(t))
	if err != nil {
		t.Fatal(err)
	}
	a.Start(t.Context())
	stopped := false
	stop := func() {
		if stopped = true; a.Stop(t.Context()) != nil {
			t.Error("not stopped in order")
		}
	}
	defer func() {
		if !stopped {
			stop()
		}
	}()
	part := a.partitions[0]
	a.drill(t.Context(), part, 200)
	hits, err := part.search(t.Context(), mail.SearchRequest{})
	if err != nil || hits.Total != 6 {
		t.Fatalf("%d messages, error %v", hits.Total, err)
	}
	wrong := hits.Hits[0].ID
	garble := func(context.Context, mail.Record, mail.Raw) (*mail.Message, error) {
		return &mail.Message{Subject: "of something else"}, nil
	}
	if err := part.index.Redo(t.Context(), part.source, garble, parser.EffectiveDate, []mail.ID{wrong}); err != nil {
		t.Fatal(err)
	}
	a.drill(t.Context(), part, 200)
	verify := func() {
		t.Helper()
		r, err := Verify(t.Context(), p.config, VerifyOptions{Level: LevelIndex}, console(t))
		if err != nil || len(r.Findings) != 1 || r.Findings[0].ID == nil || *r.Findings[0].ID != wrong || r.Findings[0].Hint == "" || len(r.Notes) > 0 {
			t.Errorf("%+v, error %v", r, err)
		}
	}
	verify()
	stop()
	verify()
	drills := p.drills(t)
	if len(drills) != 2 {
		t.Fatalf("%+v", drills)
	}
	// By chance, each of the six was asked for: all but once in a thousand million times.
	if d := drills[0]; d.Asked != 6 || d.Lost != 0 || len(d.First) != 0 || d.Ended.IsZero() {
		t.Errorf("%+v", d)
	}
	if d := drills[1]; d.Asked != 6 || d.Lost != 1 || len(d.First) != 1 || d.First[0].ID != wrong || d.First[0].Why == "" {
		t.Errorf("%+v", d)
	}
}

// drills returns the events of drills in the ledger.
func (p *plant) drills(t *testing.T) (out []mail.Drill) {
	t.Helper()
	c := p.open(t)
	defer closeOK(t, c)
	for r, err := range c.sources[0].Records(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Event != nil && r.Event.Drill != nil {
			out = append(out, *r.Event.Drill)
		}
	}
	return out
}
