package pop3

import "time"

// Capabilities are what a server announced by CAPA (RFC 2449). The zero value
// is a server that does not know CAPA.
type Capabilities struct {
	Known bool // CAPA was answered

	Top, Uidl, User, Stls bool
	Pipelining            bool
	RespCodes             bool
	AuthRespCode          bool          // only [AUTH] means that the credentials are wrong (RFC 3206)
	UTF8, UTF8User        bool          // RFC 6856
	LoginDelay            time.Duration // minimum between logins; 0 if not announced
	LoginDelayUser        bool          // differs per user: ask after login
	// Expire is the retention in days; ExpireNever if none or not announced.
	// 0 means that the server may delete whatever was retrieved (RFC 2449
	// section 6.7).
	Expire         int
	ExpireUser     bool
	Sasl           []string
	Implementation string
}

// ExpireNever is Capabilities.Expire where the server never deletes by itself.
const ExpireNever = -1
