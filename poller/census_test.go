package poller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// listingOf has n messages of 100 octets each, named by the prefix.
func listingOf(prefix string, n int) []entry {
	listing := make([]entry, n)
	for i := range listing {
		listing[i] = entry{number: i + 1, size: 100, uidl: fmt.Sprint(prefix, i), unique: true}
	}
	return listing
}

// stored is a census as the next session reads it.
func stored(c *census) *census {
	l := c.store()
	return l.census()
}

func TestCensusTellsWhatVanished(t *testing.T) {
	before := takeCensus(listingOf("m", 10), noon)
	for i, e := range listingOf("m", 10) {
		switch {
		case i < 3:
			before.stand(e, standSealed)
		case i < 5:
			before.stand(e, standAsked)
		}
	}
	for _, c := range []struct {
		quit mail.Quit
		left []entry // of the ten
		want mail.Vanished
	}{
		{mail.QuitAcked, listingOf("m", 10), mail.Vanished{}},
		{mail.QuitAcked, listingOf("m", 10)[1:], mail.Vanished{Sealed: 1}},
		{mail.QuitUnknown, listingOf("m", 10)[5:], mail.Vanished{Sealed: 3}},
		{mail.QuitNone, listingOf("m", 10)[6:], mail.Vanished{Sealed: 3, Unsealed: 1}},
		{mail.QuitAcked, nil, mail.Vanished{Sealed: 3, Unsealed: 5}},
		{mail.QuitAcked, listingOf("new", 3), mail.Vanished{Sealed: 3, Unsealed: 5}},
	} {
		ch := takeCensus(c.left, noon).follow(stored(before), asked{Quit: c.quit})
		expect(t, fmt.Sprint("vanished of ", len(c.left)), ch.vanished, c.want)
		expect(t, "renamed", ch.renamed, false)
	}
}

func TestCensusKnowsRenamed(t *testing.T) {
	for what, c := range map[string]struct {
		before, after int
		size          int64
		same          int // messages that keep their names
		want          bool
	}{
		"all":                        {100, 100, 100, 0, true},
		"all, and some mail came":    {100, 108, 100, 0, true},
		"all, and much mail came":    {100, 130, 100, 0, false},
		"most":                       {100, 100, 100, 49, true},
		"half":                       {100, 100, 100, 50, false},
		"none":                       {100, 100, 100, 100, false},
		"other mail, as much of it":  {100, 100, 150, 0, false},
		"all of few":                 {3, 3, 100, 0, true},
		"all of few, and mail came":  {3, 4, 100, 0, false},
		"few others of another size": {3, 3, 101, 0, false},
		"none were there":            {0, 3, 100, 0, false},
		"none are there":             {3, 0, 100, 0, false},
	} {
		after := append(listingOf("old", c.same), listingOf("new", c.after-c.same)...)
		for i := range after {
			after[i].size = c.size
		}
		ch := takeCensus(after, noon).follow(stored(takeCensus(listingOf("old", c.before), noon)), asked{})
		expect(t, what, ch.renamed, c.want)
		if ch.renamed {
			expect(t, what+": no alarm", ch.vanished, mail.Vanished{})
		}
	}
}

// Without unique-ids messages can only be counted.
func TestCensusWithoutNames(t *testing.T) {
	nameless := func(n int) []entry { return make([]entry, n) }
	before := takeCensus(nameless(10), noon)
	for range 6 {
		before.stand(entry{}, standSealed)
	}
	for _, c := range []struct {
		asked, left int
		want        mail.Vanished
	}{
		{0, 10, mail.Vanished{}},
		{6, 4, mail.Vanished{}},
		{6, 7, mail.Vanished{}}, // mail came
		{6, 3, mail.Vanished{Unsealed: 1}},
		{0, 3, mail.Vanished{Unsealed: 4, Sealed: 3}},
	} {
		ch := takeCensus(nameless(c.left), noon).follow(stored(before), asked{Unnamed: c.asked})
		expect(t, fmt.Sprint(c), ch.vanished, c.want)
	}
}

func TestCensusKnowsWhoWaitsLongest(t *testing.T) {
	listing := listingOf("m", 6)
	c := takeCensus(listing[:2], noon)
	expect(t, "at first", c.oldest(), noon)
	for i := 1; i <= 600; i++ { // more listings than are told apart
		now := noon.Add(time.Duration(i) * time.Hour)
		seen := listing[:2]
		if i >= 10 {
			seen = listing[:3]
		}
		if i >= 20 {
			seen = append(slices.Clone(seen), entry{uidl: fmt.Sprint("passing", i), unique: true}, entry{uidl: fmt.Sprint("passing", i-1), unique: true})
		}
		next := takeCensus(seen, now)
		next.follow(stored(c), asked{})
		c = next
	}
	expect(t, "still", c.oldest(), noon)
	c.stand(listing[0], standSealed)
	c.stand(listing[1], standSealed)
	expect(t, "the third", c.oldest(), noon.Add(10*time.Hour))
	c.stand(listing[2], standAsked)
	expect(t, "what has come since", c.oldest().After(noon.Add(500*time.Hour)), true)
	if n := len(c.store().Since); n > maxSince+1 {
		t.Errorf("%d times are kept", n)
	}
}

// Other unique-ids do not make mail younger that waits for its seal.
func TestCensusRenamedWaitsOn(t *testing.T) {
	first := takeCensus(listingOf("old", 3), noon)
	second := takeCensus(append(listingOf("old", 3), listingOf("more", 1)...), noon.Add(day))
	second.follow(stored(first), asked{})
	third := takeCensus(append(listingOf("new", 3), listingOf("more", 1)...), noon.Add(2*day))
	expect(t, "renamed", third.follow(stored(second), asked{}).renamed, true)
	expect(t, "since", third.oldest(), noon)
}

// Of a large mailbox a sample is kept, of which as much vanishes as of the whole.
func TestCensusIsBounded(t *testing.T) {
	all := listingOf("m", 5*maxMarks)
	before := takeCensus(all, noon)
	l := before.store()
	expect(t, "octets kept", len(l.Marks), 8*maxMarks)
	ch := takeCensus(all[len(all)/2:], noon).follow(l.census(), asked{})
	if n := ch.vanished.Unsealed; n < maxMarks*45/100 || n > maxMarks*55/100 {
		t.Errorf("%d of a sample of %d vanished, half of the mailbox did", n, maxMarks)
	}
	ch = takeCensus(all, noon).follow(l.census(), asked{})
	expect(t, "of all", ch.vanished, mail.Vanished{})
	expect(t, "renamed", takeCensus(listingOf("new", len(all)), noon).follow(l.census(), asked{}).renamed, true)
}

func TestRow38AllUidlsChangeAtRest(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK()
		for epoch := 1; epoch <= 2; epoch++ {
			r.box.Rename(func(uidl string) string { return fmt.Sprint("e", epoch, "-", uidl[max(0, len(uidl)-2):]) })
			elapse(time.Hour)
			res := r.drainOK()
			expect(t, "epoch", res.Last.Epoch, epoch)
			expect(t, "noted", slices.Contains(res.Last.Notes, mail.NoteEpoch), true)
			expect(t, "vanished", res.Last.Vanished == nil, true)
			expect(t, "bodies", len(r.arc.bodies), 12)
		}
		res := r.drainOK()
		expect(t, "epoch stays", res.Last.Epoch, 2)
		expect(t, "noted once", len(res.Last.Notes), 0)
		r.m.Policy = DeleteSealed
		expect(t, "deleted", r.drainOK().Deleted, 12)
		expect(t, "RETR", r.count("RETR", 0), 3*12)
		if strings.Contains(r.logs.String(), "mail is gone") {
			t.Error("an alarm for mail that did not go")
		}
	}, letters(12)...)
}

// takeAway lets another client delete messages.
func (r *rig) takeAway(uidls ...string) {
	for _, m := range r.box.Take(func(m pop3test.Message) bool { return slices.Contains(uidls, m.UIDL) }) {
		if !r.arc.has(r.m.Name, onWire(m.Raw)) {
			// It is lost, and not by us.
			r.originals = slices.DeleteFunc(r.originals, func(raw []byte) bool { return string(raw) == string(onWire(m.Raw)) })
		}
	}
}

func TestRow85AnotherClientDrains(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: onLine("RETR 3", pop3test.Action{Raw: "-ERR cannot read it\r\n"})})
		r.m.Policy = KeepAll
		res := r.drainOK()
		expect(t, "waiting", res.WaitingSince.IsZero(), false)
		r.hooks(pop3test.Hooks{})
		elapse(time.Minute)

		r.takeAway("u1")
		res = r.drainOK()
		expect(t, "sealed mail is gone", res.Vanished, mail.Vanished{Sealed: 1})
		expect(t, "alarm", strings.Contains(r.logs.String(), "level=ERROR"), false)

		r.takeAway("u2", "u3")
		res = r.drainOK()
		expect(t, "mail is gone", res.Vanished, mail.Vanished{Sealed: 1, Unsealed: 1})
		expect(t, "in the event", *r.arc.lastEvent().Vanished, mail.Vanished{Sealed: 1, Unsealed: 1})
		expect(t, "alarm", strings.Contains(r.logs.String(), "level=ERROR"), true)
		expect(t, "nobody waits", res.WaitingSince.IsZero(), true)
		res = r.drainOK()
		expect(t, "told once", res.Vanished, mail.Vanished{})
	}, letters(5)...)
}

// What we asked to delete has not vanished, however QUIT was answered, and
// whatever became of the worker.
func TestAskedIsNotVanished(t *testing.T) {
	for name, script := range map[string]func(r *rig){
		"acknowledged":    func(r *rig) {},
		"answer lost":     func(r *rig) { r.hooks(pop3test.Hooks{Quit: pop3test.QuitDropAfter}) },
		"half of it done": func(r *rig) { r.hooks(pop3test.Hooks{Quit: pop3test.QuitHalf}) },
		"deletes at once": func(r *rig) {
			r.strict = false
			r.hooks(pop3test.Hooks{DeleteAtOnce: true, OnCommand: onLine("DELE 4", pop3test.Action{End: pop3test.FIN})})
		},
		"the worker dies": func(r *rig) { r.store.last = `"draft"` }, // the save before DELE
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				script(r)
				first := r.drain()
				r.store.last = ""
				r.hooks(pop3test.Hooks{})
				elapse(10 * time.Minute)
				res := r.drain()
				expect(t, "vanished", res.Vanished, mail.Vanished{})
				c := res.Last.Confirmed
				if c == nil || c.Session != first.Last.Session || c.Gone+c.Back != 5 || len(c.Listed) != c.Back {
					t.Fatalf("confirmed %+v", c)
				}
				expect(t, "back", c.Back, res.Last.Listed)
				r.settle(3, 0)
			}, letters(5)...)
		})
	}
}

// A listing of which LIST and UIDL tell different parts raises no alarm.
func TestRow31TornListingIsNoAlarm(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK()
		r.hooks(pop3test.Hooks{OnCommand: on("UIDL", 2, pop3test.Action{Raw: "+OK\r\n1 u1\r\n3 u3\r\n.\r\n"})})
		expect(t, "vanished", r.drainOK().Vanished, mail.Vanished{})
		expect(t, "vanished later", r.drainOK().Vanished, mail.Vanished{})
	}, letters(3)...)
}

// Losing the state costs an alarm at most.
func TestRow91CensusLost(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.m.Policy = KeepAll
		r.drainOK()
		delete(r.store.data, r.m.Name)
		delete(r.store.rev, r.m.Name)
		r.takeAway("u1")
		res := r.drainOK()
		expect(t, "vanished", res.Vanished, mail.Vanished{})
		expect(t, "fetched", res.Fetched, 0)
	}, letters(3)...)
}
