package configs

import (
	"cmp"
	"net"
	"time"
)

// The words of the enumerated keys.
const (
	SecurityTLS   = "tls"
	SecuritySTLS  = "stls"
	SecurityPlain = "plain"

	DeleteAfterSeal = "after-seal"
	DeleteAfterAge  = "after-age"
	DeleteNever     = "never"

	ShortKeep   = "keep"
	ShortDelete = "delete"

	ProfileGmail = "gmail"

	ModeOrdinary = "ordinary"
	ModeJournal  = "journal"

	MetricsAuto = "auto"
	MetricsOn   = "on"
	MetricsOff  = "off"
)

// A ResolvedMailbox is a mailbox with the defaults of its host and of "poll"
// applied: nothing in it is "unset".
type ResolvedMailbox struct {
	Name string
	// HostKey names what the per-host limits count: the key of "hosts", or the
	// address of a mailbox that names a server itself.
	HostKey  string
	Address  string // host:port
	User     string
	Password Secret
	Security string // SecurityTLS, SecuritySTLS or SecurityPlain
	CAFile   string // empty: the system's authorities
	Access
	// Delete is DeleteAfterSeal, DeleteAfterAge or DeleteNever.
	Delete    string
	DeleteAge time.Duration
	// OnShort is ShortKeep or ShortDelete.
	OnShort string
	// MaxDoubt and MaxDoubtPercent are the limits of the breaker.
	MaxDoubt        int
	MaxDoubtPercent int
	// Profile is ProfileGmail, which implies RetrConsuming, or "".
	Profile  string
	Interval time.Duration
	// Timetable, if not nil, counts in place of Interval.
	Timetable *Timetable
	// Jitter is the share by which a poll is moved, 0 to 0.5.
	Jitter          float64
	DailyLimit      int64 // octets fetched within 24 hours; 0 is no limit
	PerHost         int   // sessions at a time
	LoginsPerMinute int
	Window          int
	BatchMessages   int
	BatchSize       int64 // octets
	BatchTime       time.Duration
	MaxMessage      int64 // octets
	LFOnly          bool
	NoPipelining    bool
	RetrConsuming   bool
	// Journal says that the mailbox receives journal reports.
	Journal  bool
	Envelope ResolvedEnvelope
}

// Resolve returns the mailboxes in the order of the configuration with all
// defaults applied. The configuration must come from Load.
func (c *Config) Resolve() []ResolvedMailbox {
	all := make([]ResolvedMailbox, len(c.Mailboxes))
	for i := range c.Mailboxes {
		all[i] = c.resolve(&c.Mailboxes[i])
	}
	return all
}

func (c *Config) resolve(m *Mailbox) ResolvedMailbox {
	key, h := c.hostOf(m)
	security := cmp.Or(m.Security, h.Security, SecurityTLS)
	address, _ := withPort(h.Address, security)
	if key == "" {
		key = address
	}
	interval, timetable := c.timing(m, h)
	profile := cmp.Or(m.Profile, h.Profile)
	return ResolvedMailbox{
		Name:            m.Name,
		HostKey:         key,
		Address:         address,
		User:            cmp.Or(m.User, m.Name),
		Password:        m.secret,
		Security:        security,
		CAFile:          cmp.Or(m.CAFile, h.CAFile),
		Access:          c.access(m, h),
		Delete:          cmp.Or(m.Delete, h.Delete, c.Poll.Delete),
		DeleteAge:       time.Duration(cmp.Or(m.DeleteAge, h.DeleteAge, c.Poll.DeleteAge)),
		OnShort:         cmp.Or(m.OnShort, h.OnShort, c.Poll.OnShort),
		MaxDoubt:        cmp.Or(m.MaxDoubt, h.MaxDoubt, c.Poll.MaxDoubt),
		MaxDoubtPercent: cmp.Or(m.MaxDoubtPercent, h.MaxDoubtPercent, c.Poll.MaxDoubtPercent),
		Profile:         profile,
		Interval:        interval,
		Timetable:       timetable,
		Jitter:          float64(c.Poll.Jitter) / 100,
		DailyLimit:      int64(cmp.Or(m.DailyLimit, h.DailyLimit, c.Poll.DailyLimit)),
		PerHost:         cmp.Or(h.PerHost, c.Poll.PerHost),
		LoginsPerMinute: cmp.Or(h.LoginsPerMinute, c.Poll.LoginsPerMinute),
		Window:          cmp.Or(m.Window, h.Window, c.Poll.Window),
		BatchMessages:   cmp.Or(m.BatchMessages, h.BatchMessages, c.Poll.BatchMessages),
		BatchSize:       int64(cmp.Or(m.BatchSize, h.BatchSize, c.Poll.BatchSize)),
		BatchTime:       time.Duration(c.Poll.BatchTime),
		MaxMessage:      int64(c.Message.MaxSize),
		LFOnly:          h.LFOnly,
		NoPipelining:    h.NoPipelining,
		RetrConsuming:   h.RetrConsuming || profile == ProfileGmail,
		Journal:         m.Mode == ModeJournal,
		Envelope:        m.Envelope.resolve(),
	}
}

// timing returns what the innermost level says that sets either of interval and
// schedule; the zone of a schedule may stand further out.
func (c *Config) timing(m *Mailbox, h Host) (time.Duration, *Timetable) {
	interval := time.Duration(cmp.Or(m.Interval, h.Interval, c.Poll.Interval))
	schedule := m.Schedule
	if schedule == "" && m.Interval == 0 {
		schedule = h.Schedule
	}
	if schedule == "" && m.Interval == 0 && h.Interval == 0 {
		schedule = c.Poll.Schedule
	}
	if schedule == "" {
		return interval, nil
	}
	t, _ := parseTimetable(schedule, cmp.Or(m.Timezone, h.Timezone, c.Poll.Timezone))
	return interval, t
}

// hostOf returns the entry of "hosts" that m names, under its key; or, for a
// mailbox that names a server itself, an entry with that address and no key.
func (c *Config) hostOf(m *Mailbox) (string, Host) {
	if h, ok := c.Hosts[m.Host]; ok {
		h.Address = cmp.Or(h.Address, m.Host)
		return m.Host, h
	}
	return "", Host{Address: m.Host}
}

// withPort completes "host" or "host:port" with the port that the security
// implies: 995 for TLS from the first octet (RFC 8314 section 3.2), else 110.
func withPort(address, security string) (string, *problem) {
	host, port, err := splitAddress(address)
	if err != nil {
		return address, err
	}
	if port == "" {
		port = "110"
		if security == SecurityTLS {
			port = "995"
		}
	}
	return net.JoinHostPort(host, port), nil
}
