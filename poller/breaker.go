package poller

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// The credentials breaker stops a mailbox before the server locks its account.
// It allows three logins with one secret, ever: after the first refusal the
// mailbox waits for its next poll, after the second for an hour, and after the
// third until the secret is another one or Poller.Reset is called. A connection
// that ends in place of an answer to the login is how some servers refuse, and
// how some networks fail: it counts half a strike, and such halves make up one
// strike at most.
//
// The count is part of the mailbox's state, so it holds over restarts and for
// all processes. Where a secret has been refused, or the mailbox has not been
// logged in to yet, the attempt is stored before it is made: one that a crash
// cut off counts as refused. Losing the Store loses the count; a process that
// runs on remembers its own (see Drainer.recall).
//
// Of a secret that was refused the state keeps a digest, to know it again. Of
// one that was never refused it keeps nothing, so whoever reads the Store learns
// nothing about the passwords in use. The digest of a refused one is PBKDF2 with
// a salt of the mailbox's own: it may be the right password of an account that
// is locked. Several refused secrets are kept, for two processes may be given
// different ones.

// An access is what the state of a mailbox keeps of refused secrets.
type access struct {
	Salt    []byte    `json:"salt,omitempty"`
	Refused []refusal `json:"refused,omitempty"` // the last one refused last
	// Proven says that the last answer to a login was good: the next attempt need
	// not be stored before it is made.
	Proven bool `json:"proven,omitempty"`
	// Pending says that an attempt has begun whose end is not recorded.
	Pending bool `json:"pending,omitempty"`
}

// A refusal is a secret that was refused.
type refusal struct {
	Digest []byte    `json:"digest"`
	Halves int       `json:"halves"`          // of strikes
	Vague  int       `json:"vague,omitempty"` // of them, those from connections that ended
	Last   time.Time `json:"last"`            // strike
}

const (
	strike       = 2          // in halves
	pauseAt      = 2 * strike // open for breakerPause
	openAt       = 3 * strike // open until the secret changes
	mostVague    = 1 * strike
	breakerPause = time.Hour
	mostRefused  = 4 // secrets remembered
	// stretching makes a guess at a refused secret cost some tenth of a second.
	stretching = 300_000
	saltSize   = 16
)

// state returns how the breaker stands for the secret of r at now, and how long
// it stays open; 0 if only another secret closes it.
func (r *refusal) state(now time.Time) (BreakerState, time.Duration) {
	switch {
	case r == nil || r.Halves < pauseAt:
		return BreakerClosed, 0
	case r.Halves >= openAt:
		return BreakerOpen, 0
	}
	if left := remaining(r.Last, breakerPause, now); left > 0 {
		return BreakerOpen, left
	}
	return BreakerHalf, 0
}

// find returns the record of a digest; nil if there is none.
func (a *access) find(digest []byte) *refusal {
	for i := range a.Refused {
		if hmac.Equal(a.Refused[i].Digest, digest) {
			return &a.Refused[i]
		}
	}
	return nil
}

// count adds halves of a strike to the record of a digest.
func (a *access) count(digest []byte, halves int, now time.Time) *refusal {
	r := refusal{Digest: digest}
	if old := a.find(digest); old != nil {
		r = *old
	}
	r.Halves, r.Last = r.Halves+halves, now
	a.forgive(digest)
	if len(a.Refused) >= mostRefused {
		a.Refused = slices.Delete(a.Refused, 0, 1)
	}
	a.Refused = append(a.Refused, r)
	return &a.Refused[len(a.Refused)-1]
}

// forgive drops the record of a digest.
func (a *access) forgive(digest []byte) {
	a.Refused = slices.DeleteFunc(a.Refused, func(r refusal) bool { return bytes.Equal(r.Digest, digest) })
}

// repair brings what was read within bounds.
func (a *access) repair() {
	a.Refused = a.Refused[:min(len(a.Refused), mostRefused)]
	for i := range a.Refused {
		r := &a.Refused[i]
		r.Halves, r.Vague = max(0, r.Halves), max(0, r.Vague)
	}
}

// An attempt is one login under the breaker.
type attempt struct {
	d      *Drainer
	keeper *keeper
	secret string
}

// admit lets the secret be tried once, or returns why not. What it returns must
// be settled.
func (d *Drainer) admit(ctx context.Context, secret string, k *keeper) (*attempt, error) {
	t := &attempt{d: d, keeper: k, secret: secret}
	a := &k.state.Access
	now := d.wall()
	if a.Pending {
		a.count(t.digest(), strike, now)
		a.Pending = false
	}
	r := t.record()
	if s, left := r.state(now); s == BreakerOpen {
		return t, blocked(left)
	}
	if a.Proven && r == nil || k.lost {
		return t, nil
	}
	a.Pending = true
	if err := k.trySave(ctx); err != nil {
		return t, failed(OutcomeArchive, mail.Errorf(mail.KindOf(err), "keep count of the logins: %w", err))
	}
	return t, nil
}

// blocked returns the error that stands for the sessions that an open breaker
// spares.
func blocked(left time.Duration) error {
	if left > 0 {
		return failed(OutcomeCredentials, mail.WithHint(
			mail.Errorf(mail.Denied, "the password was refused twice and is tried once more in %s", left.Round(time.Second)),
			"check the password of the mailbox; another one is used as soon as it is there"))
	}
	return failed(OutcomeCredentials, mail.WithHint(
		mail.Errorf(mail.Denied, "the password was refused three times and is not tried again"),
		"set the right password for the mailbox; it is used as soon as it changes. If it was right, reset the mailbox"))
}

// digest returns the stretched digest of the secret.
func (t *attempt) digest() []byte {
	a := &t.keeper.state.Access
	if len(a.Salt) != saltSize {
		a.Salt = make([]byte, saltSize)
		rand.Read(a.Salt)
	}
	return t.d.stretcher.digest(t.keeper.mailbox, t.secret, a.Salt)
}

// record returns what is known against the secret; nil if it is nothing.
func (t *attempt) record() *refusal {
	if len(t.keeper.state.Access.Refused) == 0 {
		return nil // spare the digest
	}
	return t.keeper.state.Access.find(t.digest())
}

// proven records a login that the server accepted. It stores that at once where
// the attempt was stored.
func (t *attempt) proven(ctx context.Context) {
	a := &t.keeper.state.Access
	if t.record() != nil {
		a.forgive(t.digest())
	}
	was := a.Pending
	a.Proven, a.Pending = true, false
	if was {
		t.keeper.save(ctx)
	}
}

// settle records how an attempt ended that was not accepted. The caller stores
// it.
func (t *attempt) settle(err error) {
	a := &t.keeper.state.Access
	a.Pending = false
	now := t.d.wall()
	switch {
	case OutcomeOf(err) == OutcomeCredentials:
		a.count(t.digest(), strike, now)
		a.Proven = false
	case !a.Proven && endedAtLogin(err):
		if r := t.record(); r == nil || r.Vague < mostVague {
			a.count(t.digest(), 1, now).Vague++
		}
	}
}

// state returns how the breaker stands for the secret now.
func (t *attempt) state() (s BreakerState, left time.Duration, refusals int) {
	r := t.record()
	s, left = r.state(t.d.wall())
	if r != nil {
		refusals = (r.Halves + 1) / strike
	}
	return s, left, refusals
}

// endedAtLogin reports whether the connection ended where the login was to be
// answered.
func endedAtLogin(err error) bool {
	e, ok := errors.AsType[*pop3.Error](err)
	login := ok && (e.Op == "PASS" || e.Op == "APOP" || e.Op == "AUTH")
	return login && e.Class == pop3.Temp && e.Code == "" && e.Err != nil
}

// A stretcher computes the digests of secrets, and remembers the last one of
// each mailbox: of those that were refused, which are few. It knows a secret
// again by a digest with a key that never leaves memory.
type stretcher struct {
	rounds int // of PBKDF2; 0 is stretching, fewer are for tests

	once sync.Once
	key  []byte

	mu   sync.Mutex
	last map[string]stretched // by mailbox
}

type stretched struct {
	quick [sha256.Size]byte // of secret and salt, by the key
	slow  []byte
}

// digest returns the digest of the secret with the salt.
func (s *stretcher) digest(mailbox, secret string, salt []byte) []byte {
	s.once.Do(func() {
		s.key = make([]byte, sha256.Size)
		rand.Read(s.key)
		s.last = make(map[string]stretched)
	})
	mac := hmac.New(sha256.New, s.key)
	mac.Write(salt)
	mac.Write([]byte(secret))
	quick := [sha256.Size]byte(mac.Sum(nil))
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[mailbox]; ok && last.quick == quick {
		return last.slow
	}
	slow, err := pbkdf2.Key(sha256.New, secret, salt, or(s.rounds, stretching), sha256.Size)
	if err != nil {
		// Only FIPS 140-3 mode refuses, and only salts that are too short for it.
		slow = quick[:]
	}
	s.last[mailbox] = stretched{quick, slow}
	return slow
}
