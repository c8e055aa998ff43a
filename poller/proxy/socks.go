package proxy

import (
	"context"
	"net"
	"strings"

	socks "golang.org/x/net/proxy"

	"github.com/mailkeep/mailkeep/mail"
)

// forward is the way to the proxy in the form that the SOCKS client wants.
type forward func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial is there for the interface; the client calls DialContext.
func (f forward) Dial(network, addr string) (net.Conn, error) {
	return f(context.Background(), network, addr)
}

func (f forward) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return f(ctx, network, addr)
}

// socks connects by SOCKS5; the name goes to the proxy as it is.
func (p Proxy) socks(ctx context.Context, network, addr, password string) (net.Conn, error) {
	var auth *socks.Auth
	if p.User != "" {
		auth = &socks.Auth{User: p.User, Password: password}
	}
	d, err := socks.SOCKS5(network, p.Address, auth, forward(p.dial))
	if err != nil {
		return nil, err
	}
	c, err := d.(socks.ContextDialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, graded(err)
	}
	return c, nil
}

// refusals are the words of the client for what a person must mend; it has no
// types for them.
var refusals = []string{"authentication", "not allowed by ruleset", "invalid username/password"}

func graded(err error) error {
	for _, words := range refusals {
		if strings.Contains(err.Error(), words) {
			return mail.WithHint(mail.Errorf(mail.Denied, "%w", err), "check user and password of the proxy, and whether it lets mailkeep reach the server")
		}
	}
	return err
}
