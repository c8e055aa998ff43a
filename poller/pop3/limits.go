package pop3

import "time"

// Timeouts bound the phases of a session. A zero field has the default named.
type Timeouts struct {
	Connect  time.Duration // TCP connection; 30 s
	TLS      time.Duration // TLS handshake; 30 s
	Greeting time.Duration // greeting and CAPA; 60 s
	Auth     time.Duration // USER and PASS each: servers wait for locks; 120 s
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

// Limits bound what a server can make the client hold. A zero field has the
// default named.
type Limits struct {
	StatusLine  int   // octets of a status line, line end included; 8 KiB
	ListingLine int   // octets of a line of LIST, UIDL or CAPA, line end included; 1 KiB
	CapaLines   int   // lines of a CAPA answer; 100
	Rows        int   // rows of a listing that are kept; those behind are read and dropped; 1,000,000
	Header      int64 // octets of a TOP answer; 16 MiB
	Discard     int64 // octets read only to get back in step after a stop; 4 MiB
}
