package poller

import (
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// TestUTF8RefusalIsOfOneMessage: a server that cannot downgrade a message says so
// by [UTF8] (RFC 6856 section 3): that message has its record, the others drain,
// and when the server can, so does it.
func TestUTF8RefusalIsOfOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "RETR" && c.Arg == "2" {
				return &pop3test.Action{Raw: "-ERR [UTF8] this message needs the UTF8 mode\r\n"}
			}
			return nil
		}})
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 1)
		expect(t, "trouble", r.trouble("u2").Trouble, poison)
		r.hooks(pop3test.Hooks{})
		elapse(7 * 24 * time.Hour)
		r.srv.Caps = []string{"UIDL", "TOP", "UTF8"}
		r.drainOK()
		expect(t, "left", len(r.box.Left()), 0)
		expect(t, "UTF8", r.count("UTF8", 0), 1)
	}, letters(3)...)
}
