package poller

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// A Policy tells what happens on the server to a message that is sealed.
type Policy int

// The policies.
const (
	DeleteSealed Policy = iota // delete after the seal; the default
	KeepAll                    // delete nothing; needs a server with UIDL
	DeleteAged                 // delete what is sealed for DeleteAge; needs UIDL too
)

// A ShortPolicy tells what happens to a message that always comes shorter than
// the server announces.
type ShortPolicy int

// The policies for short messages.
const (
	ShortKept    ShortPolicy = iota // it stays on the server; the default
	ShortDeleted                    // delete it once it came with the same bytes often enough (see shortTimes)
)

// A SizePolicy tells what a server's LIST sizes are worth.
type SizePolicy int

// The size policies.
const (
	SizesLearned    SizePolicy = iota // learn it from what is delivered; the default
	SizesUnreliable                   // believe no size; a message is suspect if its MIME structure has no end
)

// A Mailbox is a POP3 account to drain. Zero fields have the default named.
type Mailbox struct {
	Name string // unique among the mailboxes of an archive
	Host string // host:port
	User string
	// Password returns the password as it is now. It is asked before each login,
	// so a rotated secret is used by the next session.
	Password func(ctx context.Context) (string, error)
	// Tokens supplies bearer tokens. Password or Tokens is set, not both.
	Tokens TokenSource
	// PasswordMechanism and TokenMechanism are how to log in; zero is whatever
	// the server announces.
	PasswordMechanism pop3.PasswordMechanism
	TokenMechanism    pop3.TokenMechanism

	Security    pop3.Security // pop3.TLS
	TLS         *tls.Config   // as pop3.Dialer.TLS
	Pins        []pop3.Pin    // as pop3.Dialer.Pins
	Timeouts    pop3.Timeouts
	Limits      pop3.Limits
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error) // nil is a net.Dialer

	Interval time.Duration // from the end of a session to the next; 15 min
	// Timetable, if not nil, says when the mailbox is polled in place of Interval.
	Timetable Timetable
	// Jitter is the share, 0 to 0.5, by which polls are moved at random: either way
	// with Interval, to a later time with Timetable. None by default.
	Jitter float64
	// DailyLimit bounds the octets fetched within 24 hours; the last message may go
	// beyond. 0 is no limit.
	DailyLimit int64
	HostKey    string // mailboxes of one key share the limits per host; Host without its port
	// PerHost and LoginsPerMinute are the limits of the host; those of Options. Of
	// the mailboxes of one key, the first tells.
	PerHost         int
	LoginsPerMinute int

	Window        int           // RETRs outstanding; 32, at most 64
	WindowOctets  int64         // their LIST octets; 16 MiB
	BatchMessages int           // messages handled per session; 2,000, at most 10,000
	BatchOctets   int64         // LIST octets fetched per session; 256 MiB
	BatchTime     time.Duration // time budget of a session; 5 min
	MaxMessage    int64         // octets of a message; larger ones stay on the server; 0 is 1 GiB
	ReceiptWait   time.Duration // for receipts after the last RETR, within BatchTime; 60 s

	Policy Policy
	// DeleteAge is how long the archive has had a message before DeleteAged deletes
	// it; 30 days.
	DeleteAge time.Duration
	// OnShort does not apply where Policy is KeepAll.
	OnShort ShortPolicy
	// MaxDoubt and MaxDoubtPercent are the limits of the breaker on the blast
	// radius (see blast): how many messages of a session may be in doubt, and which
	// share of those compared. 50, and 20 %; five messages may always be.
	MaxDoubt        int
	MaxDoubtPercent int

	Sizes          SizePolicy
	LFOnly         bool // as pop3.Dialer.LFOnly
	NoPipelining   bool // as pop3.Dialer.NoPipelining
	RetrConsuming  bool // the server may delete or hide what was retrieved, as with EXPIRE 0
	VerifyByDigest bool // fetch and compare what an earlier session sealed, where TOP would do
}

// Limits and defaults of a Mailbox.
const (
	DefaultInterval      = 15 * time.Minute
	MaxJitter            = 0.5
	DefaultWindow        = 32
	MaxWindow            = 64
	DefaultWindowOctets  = 16 << 20
	DefaultBatchMessages = 2000
	MaxBatchMessages     = 10_000
	DefaultBatchOctets   = 256 << 20
	DefaultBatchTime     = 5 * time.Minute
	DefaultMaxMessage    = 1 << 30
	DefaultReceiptWait   = time.Minute

	DefaultDeleteAge       = 30 * 24 * time.Hour
	DefaultMaxDoubt        = 50
	DefaultMaxDoubtPercent = 20
)

// A Timetable tells when a mailbox is polled.
type Timetable interface {
	// Next returns the first time after t; zero if there is none.
	Next(t time.Time) time.Time
}

// withDefaults returns m with its zero fields filled in.
func (m Mailbox) withDefaults() Mailbox {
	m.Interval = or(m.Interval, DefaultInterval)
	m.Jitter = min(max(m.Jitter, 0), MaxJitter)
	m.Window = min(or(m.Window, DefaultWindow), MaxWindow)
	m.WindowOctets = or(m.WindowOctets, DefaultWindowOctets)
	m.BatchMessages = min(or(m.BatchMessages, DefaultBatchMessages), MaxBatchMessages)
	m.BatchOctets = or(m.BatchOctets, DefaultBatchOctets)
	m.BatchTime = or(m.BatchTime, DefaultBatchTime)
	m.MaxMessage = or(m.MaxMessage, DefaultMaxMessage)
	m.ReceiptWait = or(m.ReceiptWait, DefaultReceiptWait)
	m.DeleteAge = or(m.DeleteAge, DefaultDeleteAge)
	m.MaxDoubt = or(m.MaxDoubt, DefaultMaxDoubt)
	m.MaxDoubtPercent = or(m.MaxDoubtPercent, DefaultMaxDoubtPercent)
	if m.NoPipelining {
		m.Window = 1
	}
	if m.HostKey == "" {
		m.HostKey = m.Host
		if host, _, err := net.SplitHostPort(m.Host); err == nil {
			m.HostKey = host
		}
	}
	return m
}

// or returns v, or d if v is not positive.
func or[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// validate returns all faults of m at once.
func (m Mailbox) validate() error {
	var faults []error
	fault := func(bad bool, what string) {
		if bad {
			faults = append(faults, mail.Errorf(mail.Invalid, "mailbox %q: %s", m.Name, what))
		}
	}
	_, _, err := net.SplitHostPort(m.Host)
	fault(m.Name == "", "has no name")
	fault(err != nil, "host is not host:port")
	fault(m.User == "", "has no user")
	fault(m.Password == nil && m.Tokens == nil, "has no password and no tokens")
	fault(m.Password != nil && m.Tokens != nil, "has both a password and tokens")
	fault(m.Tokens != nil && m.Security == pop3.Plain, "has tokens, which are not sent without TLS")
	fault(m.Policy < DeleteSealed || m.Policy > DeleteAged, "unknown policy")
	fault(m.OnShort < ShortKept || m.OnShort > ShortDeleted, "unknown policy for short messages")
	fault(m.Policy == DeleteAged && m.RetrConsuming, "is to leave mail on a server that removes what was fetched")
	return errors.Join(faults...)
}

// dialer returns the protocol client for m.
func (d *Drainer) dialer(m Mailbox) *pop3.Dialer {
	return &pop3.Dialer{
		Address: m.Host, Security: m.Security, TLS: m.TLS, Pins: m.Pins, Timeouts: m.Timeouts, Limits: m.Limits,
		DialContext: m.DialContext, Logger: d.Logger, LFOnly: m.LFOnly, NoPipelining: m.NoPipelining,
	}
}
