package poller

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// maxMarks bounds the marks of a state. Of a larger mailbox it holds those with
// the smallest digests: a sample that the next listing can be compared with as
// well.
const maxMarks = 20_000

// A mark is one message of a listing in 8 octets: 56 bits of the digest of its
// unique-id, and in the low octet its standing.
type mark uint64

// The standings. Those between say that the message is not sealed, and since when
// it is listed: 1 is the first entry of census.since.
const (
	standSealed = 0
	standAsked  = 255 // sealed, and the server was asked to delete it
)

// maxSince bounds census.since: how many listings are told apart by time.
const maxSince = 250

func markOf(uidl string) mark {
	sum := sha256.Sum256([]byte(uidl))
	return mark(binary.BigEndian.Uint64(sum[:])) &^ 0xff
}

func (m mark) standing() uint8    { return uint8(m) }
func (m mark) as(s uint8) mark    { return m&^0xff | mark(s) }
func (m mark) compare(o mark) int { return cmp.Compare(m>>8, o>>8) }

// A census is what is remembered of a listing: of each message that UIDL
// identifies a mark, of the others their number. The next listing is compared
// with it, which tells mail that went without our asking, unique-ids that were
// changed as a whole, and since when a message waits for its seal.
type census struct {
	marks []mark      // in order
	since []time.Time // of the listings that first had what is not sealed, in order
	// Of what may be there next time: all but what an acknowledged QUIT deletes.
	named  int   // messages with a mark, also those beyond maxMarks
	octets int64 // their LIST octets
	// Messages that UIDL does not identify, and those of them that are not sealed.
	unnamed, open int
}

// takeCensus counts a listing. Nothing of it is known to be sealed.
func takeCensus(listing []entry, now time.Time) *census {
	c := &census{since: []time.Time{now}, marks: make([]mark, 0, len(listing))}
	for _, e := range listing {
		if !e.unique {
			c.unnamed++
			continue
		}
		c.named++
		c.octets += max(e.size, 0)
		c.marks = append(c.marks, markOf(e.uidl).as(1))
	}
	c.open = c.unnamed
	slices.Sort(c.marks)
	return c
}

// find returns the mark of the message, nil if there is none.
func (c *census) find(uidl string) *mark {
	at, ok := slices.BinarySearchFunc(c.marks, markOf(uidl), mark.compare)
	if !ok {
		return nil
	}
	return &c.marks[at]
}

// stand sets the standing of the message of e.
func (c *census) stand(e entry, s uint8) {
	if !e.unique {
		if c.open > 0 {
			c.open--
		}
		return
	}
	if m := c.find(e.uidl); m != nil {
		*m = m.as(s)
	}
}

// oldest returns since when the message is listed that waits longest for its
// seal; zero if none waits.
func (c *census) oldest() time.Time {
	first := maxSince + 1
	for _, m := range c.marks {
		if s := int(m.standing()); s != standSealed && s != standAsked {
			first = min(first, s)
		}
	}
	if first > len(c.since) {
		return time.Time{}
	}
	return c.since[first-1]
}

// A change is what became of the messages of one census in the next.
type change struct {
	vanished mail.Vanished
	renamed  bool // the unique-ids were changed as a whole
}

// follow compares c, taken now, with the census before, and takes over what that
// knows of the messages that are still listed. a is what a session has asked for
// in between.
func (c *census) follow(before *census, a asked) change {
	var ch change
	mayRemain, absent := 0, 0
	waiting := time.Time{} // the longest of what is absent
	first := c.inherit(before)
	rest := c.marks
	for _, m := range before.marks {
		if m.standing() != standAsked || a.Quit != mail.QuitAcked {
			mayRemain++
		}
		for len(rest) > 0 && rest[0].compare(m) < 0 {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].compare(m) == 0 {
			rest[0] = m.as(first[m.standing()])
			continue
		}
		switch s := m.standing(); {
		case s == standAsked && a.Quit == mail.QuitAcked:
		case s == standAsked:
			absent++
		case s == standSealed:
			absent++
			ch.vanished.Sealed++
		default:
			absent++
			ch.vanished.Unsealed++
			if at := before.sinceOf(s); waiting.IsZero() || at.Before(waiting) {
				waiting = at
			}
		}
	}
	if ch.renamed = 2*absent > mayRemain && c.resembles(before); ch.renamed {
		ch.vanished = mail.Vanished{}
		c.age(waiting)
	}
	c.missing(before, a.Unnamed, &ch)
	return ch
}

// resembles reports whether c has about as many messages and octets as were
// expected of the census before; exactly as many if those were few.
func (c *census) resembles(before *census) bool {
	near := func(got, want int64) bool {
		slack := int64(0)
		if before.named >= 10 {
			slack = want / 10
		}
		return got >= want-slack && got <= want+slack
	}
	return before.named > 0 && near(int64(c.named), int64(before.named)) && near(c.octets, before.octets)
}

// missing counts what is gone of the messages that no unique-id names.
func (c *census) missing(before *census, asked int, ch *change) {
	gone := before.unnamed - asked - c.unnamed
	if gone <= 0 {
		return
	}
	unsealed := min(gone, before.open)
	ch.vanished.Unsealed += unsealed
	ch.vanished.Sealed += gone - unsealed
}

// inherit puts the times of the census before in front of the time of c, and
// returns which standing each of its standings becomes: what the server was asked
// to delete and still lists is sealed.
func (c *census) inherit(before *census) (becomes [256]uint8) {
	var used [256]bool
	for _, m := range before.marks {
		used[m.standing()] = true
	}
	now := c.since[0]
	c.since = c.since[:0]
	for s := 1; s < standAsked && s <= len(before.since); s++ {
		if !used[s] {
			continue
		}
		// Beyond the bound the later listings count as one.
		if len(c.since) < maxSince {
			c.since = append(c.since, before.since[s-1])
		}
		becomes[s] = uint8(len(c.since))
	}
	c.since = append(c.since, now)
	fresh := uint8(len(c.since))
	for s := 1; s < standAsked; s++ {
		if becomes[s] == 0 {
			becomes[s] = fresh
		}
	}
	for i, m := range c.marks {
		c.marks[i] = m.as(fresh)
	}
	return becomes
}

// age lets what is new in c count as listed since at.
func (c *census) age(at time.Time) {
	if last := len(c.since) - 1; !at.IsZero() && at.Before(c.since[last]) {
		c.since[last] = at
		for last > 0 && c.since[last-1].After(at) {
			last--
			c.since[last] = at
		}
	}
}

func (c *census) sinceOf(standing uint8) time.Time {
	if n := int(standing); n >= 1 && n <= len(c.since) {
		return c.since[n-1]
	}
	return time.Time{}
}

// A listed is a census as it is stored.
type listed struct {
	Marks   []byte      `json:"marks,omitempty"` // of 8 octets each
	Since   []time.Time `json:"since,omitempty"`
	Named   int         `json:"named,omitempty"`
	Octets  int64       `json:"octets,omitempty"`
	Unnamed int         `json:"unnamed,omitempty"`
	Open    int         `json:"open,omitempty"`
}

// store returns c as it is stored.
func (c *census) store() listed {
	marks := c.marks[:min(len(c.marks), maxMarks)]
	l := listed{Since: c.since, Named: c.named, Octets: c.octets, Unnamed: c.unnamed, Open: c.open}
	if len(marks) > 0 {
		l.Marks = make([]byte, 0, 8*len(marks))
	}
	for _, m := range marks {
		l.Marks = binary.BigEndian.AppendUint64(l.Marks, uint64(m))
	}
	return l
}

// census reads what is stored, brought within bounds.
func (l *listed) census() *census {
	c := &census{
		since: slices.Clone(l.Since[:min(len(l.Since), maxSince+1)]),
		named: max(0, l.Named), octets: max(0, l.Octets), unnamed: max(0, l.Unnamed),
	}
	c.open = min(max(0, l.Open), c.unnamed)
	for b := l.Marks; len(b) >= 8 && len(c.marks) < maxMarks; b = b[8:] {
		c.marks = append(c.marks, mark(binary.BigEndian.Uint64(b)))
	}
	slices.Sort(c.marks)
	return c
}
