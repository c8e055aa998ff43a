package pop3

import (
	"cmp"
	"time"
)

// Timeouts bound the phases of a session. A zero field has the default named.
type Timeouts struct {
	Connect  time.Duration // TCP connection; 30 s
	TLS      time.Duration // TLS handshake; 30 s
	Greeting time.Duration // greeting and CAPA; 60 s
	Auth     time.Duration // each answer of a login: servers wait for locks; 120 s
	Listing  time.Duration // STAT, LIST, UIDL: first octet; 5 min
	Retrieve time.Duration // RETR, TOP: status line; 5 min
	Command  time.Duration // DELE, NOOP, RSET, STLS, UTF8; 60 s
	Quit     time.Duration // QUIT: the server deletes before it answers; 10 min
	Idle     time.Duration // between octets of a body or lines of a listing, and for a write; 60 s
	// RateSpan and MinRate are the floor against a server that drips: a body
	// must bring MinRate octets a second averaged over each RateSpan. 60 s and
	// 1024; a negative MinRate switches the floor off.
	RateSpan time.Duration
	MinRate  int64
}

func (t Timeouts) withDefaults() Timeouts {
	return Timeouts{
		Connect: cmp.Or(t.Connect, 30*time.Second), TLS: cmp.Or(t.TLS, 30*time.Second), Greeting: cmp.Or(t.Greeting, time.Minute),
		Auth: cmp.Or(t.Auth, 2*time.Minute), Listing: cmp.Or(t.Listing, 5*time.Minute), Retrieve: cmp.Or(t.Retrieve, 5*time.Minute),
		Command: cmp.Or(t.Command, time.Minute), Quit: cmp.Or(t.Quit, 10*time.Minute), Idle: cmp.Or(t.Idle, time.Minute),
		RateSpan: cmp.Or(t.RateSpan, time.Minute), MinRate: cmp.Or(t.MinRate, 1024),
	}
}

// quota is the number of octets that each span of a body must bring; 0 for none.
func (t Timeouts) quota() int64 {
	if t.MinRate < 0 {
		return 0
	}
	return int64(t.RateSpan.Seconds() * float64(t.MinRate))
}

// Limits bound what a server can make the client hold. A zero field has the
// default named.
type Limits struct {
	StatusLine  int   // octets of a status line, line end included; 8 KiB
	ListingLine int   // octets of a line of LIST, UIDL or CAPA, line end included; 1 KiB
	CapaLines   int   // lines of a CAPA answer; 100
	Rows        int   // rows of a listing that are kept; those behind are read and dropped; 1,000,000
	Header      int64 // octets of a TOP answer; 16 MiB
	Discard     int64 // octets read only to get back in step after a stop; 32 MiB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		StatusLine: cmp.Or(l.StatusLine, 8<<10), ListingLine: cmp.Or(l.ListingLine, 1<<10), CapaLines: cmp.Or(l.CapaLines, 100),
		Rows: cmp.Or(l.Rows, 1_000_000), Header: cmp.Or(l.Header, 16<<20), Discard: cmp.Or(l.Discard, 32<<20),
	}
}
