package pop3

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

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
	// section 6.7). It has no meaning unless Known.
	Expire         int
	ExpireUser     bool
	Sasl           []string
	Implementation string
}

// ExpireNever is Capabilities.Expire where the server never deletes by itself.
const ExpireNever = -1

// maxLoginDelay and maxExpire keep absurd numbers from overflowing.
const (
	maxLoginDelay = 7 * 24 * 60 * 60 // seconds
	maxExpire     = 1 << 20          // days
)

// errCapa says that the server did not survive being asked.
var errCapa = errors.New("no answer to CAPA")

// askCapa asks for the capabilities (RFC 2449 section 5), unless the server is
// known not to survive it. -ERR means that what is known so far holds.
func (c *conn) askCapa() error {
	if c.noCapa {
		return nil
	}
	st, err := c.ask(c.timeouts.Greeting, "CAPA")
	if err != nil || !st.ok {
		return unlessCapa(err)
	}
	caps := Capabilities{Known: true, Expire: ExpireNever}
	n := 0
	err = c.lines("CAPA", func(line []byte) error {
		if n++; n > c.limits.CapaLines {
			return fmt.Errorf("more than %d capabilities", c.limits.CapaLines)
		}
		caps.add(string(line))
		return nil
	})
	if err == nil {
		c.caps = caps
	}
	return unlessCapa(err)
}

// unlessCapa marks the errors that mean errCapa.
func unlessCapa(err error) error {
	if hungUp(err) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: %w", errCapa, err)
	}
	return err
}

// add takes one line of a CAPA answer; what it does not know it leaves out.
func (c *Capabilities) add(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	args := words[1:]
	switch strings.ToUpper(words[0]) {
	case "TOP":
		c.Top = true
	case "UIDL":
		c.Uidl = true
	case "USER":
		c.User = true
	case "STLS":
		c.Stls = true
	case "PIPELINING":
		c.Pipelining = true
	case "RESP-CODES":
		c.RespCodes = true
	case "AUTH-RESP-CODE":
		c.AuthRespCode = true
	case "UTF8":
		c.UTF8, c.UTF8User = true, has(args, "USER")
	case "SASL":
		c.Sasl = args
	case "IMPLEMENTATION":
		c.Implementation = strings.Join(args, " ")
	case "LOGIN-DELAY":
		c.LoginDelay, c.LoginDelayUser = time.Duration(number(args, 0, maxLoginDelay))*time.Second, has(args, "USER")
	case "EXPIRE":
		c.Expire, c.ExpireUser = number(args, ExpireNever, maxExpire), has(args, "USER")
	}
}

func has(args []string, word string) bool {
	for _, a := range args {
		if strings.EqualFold(a, word) {
			return true
		}
	}
	return false
}

// number returns the first argument as a number from 0 to limit, or other if it
// is none (such as NEVER).
func number(args []string, other, limit int) int {
	if len(args) == 0 {
		return other
	}
	n, err := strconv.Atoi(args[0])
	if err != nil && !errors.Is(err, strconv.ErrRange) || n < 0 {
		return other
	}
	return min(n, limit)
}
