package app

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
)

// A ProbeReport is what a look at a mailbox found. Its parts are nil as far as
// the look did not come.
type ProbeReport struct {
	Mailbox  string        `json:"mailbox"`
	Host     string        `json:"host"` // host:port
	User     string        `json:"user"`
	Security string        `json:"security"`
	Delete   string        `json:"delete"` // what happens on the server to a sealed message
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took_ns"`
	// Outcome is "ok" or the class of the error; Error, its Kind and a Hint are
	// set if the look failed.
	Outcome string `json:"outcome"`
	Kind    string `json:"kind,omitempty"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`

	Connection *ProbedConnection `json:"connection,omitempty"`
	Login      *ProbedLogin      `json:"login,omitempty"`
	Listing    *ProbedListing    `json:"listing,omitempty"`
	Forecast   *Forecast         `json:"forecast,omitempty"`
	// Notes are what an operator should know about the server.
	Notes []ProbeNote `json:"notes,omitempty"`
	// Quit tells how the session ended: "acked" is QUIT with nothing retrieved and
	// nothing marked, "none" a connection that was closed.
	Quit mail.Quit `json:"quit"`
}

// A ProbedConnection is what the server shows before login.
type ProbedConnection struct {
	TLS string `json:"tls,omitempty"` // protocol version and cipher suite; empty on a plain connection
	// CertExpiry is until when the server's certificate is valid.
	CertExpiry   time.Time `json:"cert_expiry,omitzero"`
	Capabilities []string  `json:"capabilities"`
}

// A ProbedLogin is what the server shows after login.
type ProbedLogin struct {
	Mechanism    string   `json:"mechanism"`
	Capabilities []string `json:"capabilities"`
	Messages     int      `json:"messages"` // as STAT counts
	Octets       int64    `json:"octets"`
}

// A ProbedListing sums up LIST and UIDL.
type ProbedListing struct {
	Messages     int   `json:"messages"`
	Octets       int64 `json:"octets"`
	Largest      int64 `json:"largest"`
	UnknownSizes int   `json:"unknown_sizes"`
	Oversize     int   `json:"oversize"` // larger than message.max_size
	Uidl         bool  `json:"uidl"`     // the server has unique-ids
	Repeated     int   `json:"repeated"` // messages whose unique-id another one has too
	Nameless     int   `json:"nameless"` // messages without a usable unique-id
}

// A Forecast is what a drain would do now.
type Forecast struct {
	Sealed  int   `json:"sealed"`  // of the messages listed, those that the archive has
	Delete  int   `json:"delete"`  // sealed, and deleted after a check
	Fetch   int   `json:"fetch"`   // fetched, sealed, and then treated by the policy
	Octets  int64 `json:"octets"`  // of these
	Unasked int   `json:"unasked"` // too many to look at
	// Left counts the messages that would be left for now, by why.
	Left map[mail.Fate]int `json:"left,omitempty"`
	// Breaker is why nothing would be deleted whatever Delete says; empty if the
	// breaker on the blast radius is closed.
	Breaker string `json:"breaker,omitempty"`
}

// A ProbeNote is one thing that an operator should know, and what to do about
// it, if anything.
type ProbeNote struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func (r *ProbeReport) note(hint, format string, args ...any) {
	r.Notes = append(r.Notes, ProbeNote{fmt.Sprintf(format, args...), hint})
}

// probeReport tells of a look at m.
func probeReport(m configs.ResolvedMailbox, p poller.Probe) ProbeReport {
	r := ProbeReport{
		Mailbox: m.Name, Host: m.Address, User: m.User, Security: m.Security, Delete: m.Delete,
		Started: p.Started, Took: p.Took, Outcome: string(p.Outcome), Quit: p.Quit,
	}
	if p.Err != nil {
		r.Kind, r.Error, r.Hint = mail.KindOf(p.Err).String(), p.Err.Error(), cmp.Or(mail.HintOf(p.Err), hintOn(p.Outcome))
	}
	if p.Connected {
		r.Connection = &ProbedConnection{TLS: p.TLS, CertExpiry: p.CertExpiry, Capabilities: p.Before.Words()}
		r.noteConnection(p)
	}
	if p.LoggedIn {
		r.Login = &ProbedLogin{Mechanism: p.Mechanism, Capabilities: p.After.Words(), Messages: p.Messages, Octets: p.Octets}
		r.noteServer(m, p)
	}
	if l := p.Listing; l != nil {
		r.Listing = &ProbedListing{Messages: l.Messages, Octets: l.Octets, Largest: l.Largest, UnknownSizes: l.UnknownSizes,
			Oversize: l.Oversize, Uidl: l.Uidl, Repeated: l.Repeated, Nameless: l.Nameless}
		r.noteListing(p)
	}
	if f := p.Forecast; f != nil {
		r.Forecast = &Forecast{Sealed: f.Sealed, Delete: f.Delete, Fetch: f.Fetch, Octets: f.Octets, Unasked: f.Unasked, Left: f.Left, Breaker: f.Breaker}
	} else if p.NoForecast != nil {
		r.note(mail.HintOf(p.NoForecast), "what a drain would do is unknown: %v", p.NoForecast)
	}
	return r
}

// hintOn returns what to do about a failure that brings no hint of its own.
func hintOn(o poller.Outcome) string {
	switch o {
	case poller.OutcomeCredentials:
		return "check the user and the secret that the configuration names; the server counts each attempt"
	case poller.OutcomeBusy:
		return "a session is going on, here or by another program: try again when it has ended"
	case poller.OutcomeRate:
		return "the server wants fewer logins, or a quota is used up: try again later"
	case poller.OutcomeTemp:
		return "check host and port, and whether a firewall lets the connection out; else try again later"
	case poller.OutcomePerm:
		return "somebody must change what the error names: a certificate, a name, a file or a setting"
	case poller.OutcomeProtocol:
		return "check the port, and whether the security setting (tls, stls, plain) is the one of that port"
	}
	return ""
}

// soon is how long before its end a certificate is worth a note.
const soon = 30 * 24 * time.Hour

func (r *ProbeReport) noteConnection(p poller.Probe) {
	if p.TLS == "" {
		r.note("use security tls or stls if the server has it", "the password and all mail can be read on the way")
	}
	if left := p.CertExpiry.Sub(p.Started); !p.CertExpiry.IsZero() && left < soon {
		r.note("have it renewed: the mailbox is not polled once it has ended", "the server's certificate ends in %d days", int(left/(24*time.Hour)))
	}
	if !p.Before.Known {
		r.note("", "the server does not answer CAPA: nothing is pipelined, and the words of its refusals are all there is to go by")
	}
}

func (r *ProbeReport) noteServer(m configs.ResolvedMailbox, p poller.Probe) {
	caps := p.After
	switch {
	case caps.Known && caps.Expire == 0:
		r.note("", "EXPIRE 0: the server may delete whatever was fetched, so no session ends by QUIT while something fetched is not sealed")
	case p.Consuming:
		r.note("", "the configuration says that the server may delete whatever was fetched, so no session ends by QUIT while something fetched is not sealed")
	case caps.Known && caps.Expire > 0:
		r.note("poll more often than that", "EXPIRE %d: the server deletes mail by itself after so many days", caps.Expire)
	}
	if d := caps.LoginDelay; d > 0 {
		hint := ""
		if m.Interval < d {
			hint = fmt.Sprintf("interval is %s; polls wait for the server all the same", configs.Duration(m.Interval))
		}
		r.note(hint, "LOGIN-DELAY: the server wants %s between two logins", configs.Duration(d))
	}
	switch {
	case m.NoPipelining && caps.Pipelining:
		r.note("", "the server has PIPELINING, which no_pipelining turns off: each message costs a round trip")
	case !caps.Pipelining:
		r.note("", "without PIPELINING each message costs a round trip")
	}
	if !caps.Top && caps.Known {
		r.note("", "without TOP a message that an earlier session sealed is fetched again, to be compared, before it is deleted")
	}
}

func (r *ProbeReport) noteListing(p poller.Probe) {
	l := p.Listing
	switch {
	case !l.Uidl && r.Delete != configs.DeleteAfterSeal:
		r.note("set delete: after-seal", "the server has no unique-ids (UIDL), which delete: %s needs", r.Delete)
	case !l.Uidl:
		r.note("", "the server has no unique-ids (UIDL): what an earlier session sealed is recognised only after it was fetched again")
	case l.Repeated > 0:
		r.note("", "%d messages share their unique-id with another one: they are fetched again, to be compared, before they are deleted", l.Repeated)
	}
	if l.Uidl && l.Nameless > 0 {
		r.note("", "%d messages have no usable unique-id: they are fetched again, to be compared, before they are deleted", l.Nameless)
	}
	if l.UnknownSizes > 0 {
		r.note("", "the server does not tell the size of %d messages", l.UnknownSizes)
	}
	if l.Oversize > 0 {
		r.note("raise message.max_size to have them", "%d messages are larger than message.max_size and stay on the server", l.Oversize)
	}
	if p.Messages != l.Messages {
		r.note("", "STAT counts %d messages, LIST and UIDL agree on %d: the others are left to the next session", p.Messages, l.Messages)
	}
}
