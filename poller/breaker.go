package poller

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/mailkeep/mailkeep/poller/pop3"

	"errors"
)

// A breaker stops a mailbox whose credentials are refused before the server
// locks the account. It opens at three strikes and closes when the password
// changes. It knows the password by a keyed digest that never leaves memory.
//
// A connection that ends in place of an answer to PASS is how some servers
// refuse, and how some networks fail: it counts half a strike, and such halves
// make up one strike at most.
type breaker struct {
	key    []byte // random per process
	digest [sha256.Size]byte
	known  bool // digest is that of the password last tried
	halves int  // of strikes
	vague  int  // of them, those from connections that ended
}

// openAt is how many half strikes open a breaker: exactly three refusals.
const openAt = 6

// admit reports whether the password may be tried. Another one than the last is
// a fresh start.
func (b *breaker) admit(password string) bool {
	mac := hmac.New(sha256.New, b.key)
	mac.Write([]byte(password))
	digest := [sha256.Size]byte(mac.Sum(nil))
	if !b.known || digest != b.digest {
		b.digest, b.known = digest, true
		b.halves, b.vague = 0, 0
	}
	return !b.open()
}

func (b *breaker) open() bool { return b.halves >= openAt }

// record counts the outcome of a drain.
func (b *breaker) record(res Result) {
	switch {
	case res.Sessions > 0:
		b.halves, b.vague = 0, 0
	case res.Outcome == OutcomeCredentials:
		b.halves += 2
	case endedAtPass(res.Err) && b.vague < 2:
		b.halves++
		b.vague++
	}
}

// endedAtPass reports whether the connection ended where PASS, or what stands for
// it, was to be answered.
func endedAtPass(err error) bool {
	e, ok := errors.AsType[*pop3.Error](err)
	return ok && (e.Op == "PASS" || e.Op == "APOP" || e.Op == "AUTH") && e.Class == pop3.Temp && e.Code == "" && e.Err != nil
}
