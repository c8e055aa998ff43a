package poller

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// asked holds what a session asked the server to delete, until a later listing
// shows what came of it: an answer to QUIT proves nothing, nor does the lack of
// one. It is stored before the first DELE is sent.
type asked struct {
	Session string    `json:"session,omitempty"`
	Quit    mail.Quit `json:"quit,omitempty"`
	Keys    []byte    `json:"keys,omitempty"`    // rowKey.sum of each, of 8 octets
	Unnamed int       `json:"unnamed,omitempty"` // further messages that UIDL does not identify
}

// ask remembers that a session is about to delete the messages of keys. Until
// its QUIT is answered, how it ended is unknown.
func (st *state) ask(session string, keys []rowKey) {
	a := asked{Session: session, Quit: mail.QuitUnknown, Keys: make([]byte, 0, 8*len(keys))}
	for _, k := range keys {
		if k.number != 0 {
			a.Unnamed++
			continue
		}
		a.Keys = binary.BigEndian.AppendUint64(a.Keys, k.sum())
	}
	st.Asked = a
}

// answered records how the session that asked last has ended.
func (st *state) answered(session string, quit mail.Quit) {
	if st.Asked.Session == session {
		st.Asked.Quit = quit
	}
}

// reconcile compares what was asked for with a complete listing, and forgets the
// records of rows that are no longer listed. It returns nil if nothing was asked
// for, or if renamed says that the listing has other unique-ids than the last and
// cannot tell.
func (st *state) reconcile(listing []entry, renamed bool, now time.Time) *mail.Confirmation {
	promised := make(map[uint64]bool, len(st.Asked.Keys)/8)
	if !renamed {
		for b := st.Asked.Keys; len(b) >= 8; b = b[8:] {
			promised[binary.BigEndian.Uint64(b)] = true
		}
	}
	c := &mail.Confirmation{Session: st.Asked.Session, Quit: st.Asked.Quit, Unnamed: st.Asked.Unnamed}
	st.Asked, st.gaveUp = asked{}, 0
	st.Rows = st.listedRows(listing, promised, c, now)
	c.Gone = max(0, len(promised)-c.Back)
	switch {
	case c.Gone > 0 || len(listing) == 0:
		st.Stuck = 0
	case c.Back > 0 && c.Quit == mail.QuitAcked:
		st.Stuck++
	}
	if len(promised) == 0 {
		return nil
	}
	return c
}

// listedRows returns the records of the rows that are listed, those made for what
// is back after an acknowledged QUIT included, and counts the latter in c.
func (st *state) listedRows(listing []entry, promised map[uint64]bool, c *mail.Confirmation, now time.Time) []row {
	rows := st.index()
	var kept []row
	for _, e := range listing {
		k := e.key()
		r := rows[k]
		delete(rows, k)
		if e.unique && promised[k.sum()] {
			c.Back++
			if len(c.Listed) < mail.MaxListed {
				c.Listed = append(c.Listed, mail.Octets(e.uidl))
			}
			if c.Quit == mail.QuitAcked {
				if r == nil {
					r = &row{UIDL: mail.Octets(k.uidl), Size: k.size}
				}
				r.returned(now)
				if r.Commits == maxCommits {
					st.gaveUp++
				}
			}
		}
		if r != nil {
			kept = append(kept, *r)
		}
		if c := e.changingKey(); rows[c] != nil {
			kept = append(kept, *rows[c])
			delete(rows, c)
		}
	}
	return slices.Clip(kept)
}

// returned counts a deletion that was acknowledged and did not happen.
func (r *row) returned(now time.Time) {
	r.Commits++
	if r.Commits >= maxCommits {
		days := time.Duration(1) << min(r.Commits-maxCommits, 3)
		r.Hold = now.Add(min(days*24*time.Hour, week))
	}
}
