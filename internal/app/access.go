package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller"
	"github.com/mailkeep/mailkeep/poller/oauth"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/proxy"
)

// An access gives mailboxes what they need to reach their servers and to enter
// them. What equal configurations can share, they share: thousands of mailboxes
// have a handful of authorities, and one token where a client acts for all of
// them. It is used while the poller is made, by one goroutine.
type access struct {
	log     *slog.Logger
	clients map[string]configs.ResolvedOAuth
	trust   map[trustKey]*tls.Config
	https   map[string]*http.Client  // to token servers, by the file of authorities
	shared  map[string]*oauth.Source // of the client credentials flow, by client
}

// A trustKey is what a tls.Config is made of.
type trustKey struct{ ca, cert, key string }

func newAccess(c *configs.Config, log *slog.Logger) *access {
	return &access{
		log: log, clients: c.ResolveOAuth(), trust: make(map[trustKey]*tls.Config),
		https: make(map[string]*http.Client), shared: make(map[string]*oauth.Source),
	}
}

// apply completes m by what r says of access.
func (a *access) apply(m *poller.Mailbox, r configs.ResolvedMailbox) (err error) {
	if m.TLS, err = a.tlsConfig(trustKey{r.CAFile, r.ClientCertFile, r.ClientKeyFile}); err != nil {
		return err
	}
	for _, text := range r.TLSPins {
		pin, err := pop3.ParsePin(text)
		if err != nil {
			return err
		}
		m.Pins = append(m.Pins, pin)
	}
	if m.DialContext, err = dialThrough(r); err != nil {
		return err
	}
	return a.login(m, r)
}

// login sets how m logs in.
func (a *access) login(m *poller.Mailbox, r configs.ResolvedMailbox) error {
	if r.OAuth == "" {
		m.Password = func(context.Context) (string, error) { return r.Password.Reveal() }
		m.PasswordMechanism = map[string]pop3.PasswordMechanism{
			configs.AuthUserPass: pop3.UserPass, configs.AuthAPOP: pop3.APOP,
			configs.AuthPlain: pop3.SASLPlain, configs.AuthScramSHA256: pop3.ScramSHA256,
		}[r.Auth]
		return nil
	}
	m.TokenMechanism = map[string]pop3.TokenMechanism{
		configs.AuthXOAuth2: pop3.XOAuth2, configs.AuthOAuthBearer: pop3.OAuthBearer,
	}[r.Auth]
	source, err := a.source(r)
	if err != nil {
		return err
	}
	m.Tokens = source
	return nil
}

// source returns the source of tokens: that of the client where it acts for
// itself, one of the mailbox's own where it acts for a person.
func (a *access) source(r configs.ResolvedMailbox) (*oauth.Source, error) {
	o, ok := a.clients[r.OAuth]
	if !ok {
		return nil, mail.Errorf(mail.Invalid, "oauth has no entry %q", r.OAuth)
	}
	if o.Flow == configs.FlowClientCredentials && a.shared[r.OAuth] != nil {
		return a.shared[r.OAuth], nil
	}
	https, err := a.httpClient(o.CAFile)
	if err != nil {
		return nil, err
	}
	c := oauth.Config{
		TokenURL: o.TokenURL, ClientID: o.ClientID, Scopes: o.Scopes, HTTP: https,
		Logger: a.log.With(slog.String("oauth", r.OAuth)),
	}
	if !o.Secret.IsZero() {
		c.ClientSecret = o.Secret.Reveal
	}
	if o.Basic {
		c.Style = oauth.Basic
	}
	if o.Flow == configs.FlowRefreshToken {
		c.RefreshToken = r.RefreshToken.Reveal
		c.Logger = c.Logger.With(slog.String("mailbox", r.Name))
		if r.RefreshTokenFile != "" {
			c.Keep = func(token string) error { return rewrite(r.RefreshTokenFile, token) }
		}
		return oauth.New(c)
	}
	source, err := oauth.New(c)
	a.shared[r.OAuth] = source
	return source, err
}

// rewrite replaces the content of a secret's file, durably; after a crash it
// holds the old or the new secret. Its mode is 0600.
func rewrite(file, secret string) (err error) {
	dir, err := durable.OpenDir(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // it was only read
	return durable.WriteFile(dir, filepath.Base(file), []byte(secret+"\n"))
}

func (a *access) httpClient(caFile string) (*http.Client, error) {
	if c := a.https[caFile]; c != nil {
		return c, nil
	}
	roots, err := authorities(caFile)
	if err != nil {
		return nil, err
	}
	c := oauth.NewHTTPClient(roots)
	a.https[caFile] = c
	return c, nil
}

// tlsConfig returns the trust of a mailbox, and its own certificate; nil is the
// system's trust alone.
func (a *access) tlsConfig(k trustKey) (*tls.Config, error) {
	if k == (trustKey{}) {
		return nil, nil
	}
	if t := a.trust[k]; t != nil {
		return t, nil
	}
	roots, err := authorities(k.ca)
	if err != nil {
		return nil, err
	}
	t := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if k.cert != "" {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return clientCertificate(k) }
	}
	a.trust[k] = t
	return t, nil
}

// clientCertificate reads the certificate for each handshake that asks for it,
// so that a renewed one is used.
func clientCertificate(k trustKey) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "client certificate: %w", err), "check client_cert_file and client_key_file")
	}
	return &c, nil
}

// authorities reads a file of certificates; nil, the system's, for none.
func authorities(caFile string) (*x509.CertPool, error) {
	if caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, mail.Errorf(mail.Invalid, "ca_file %s holds no PEM certificate", caFile)
	}
	return pool, nil
}

// dialThrough returns the way to the server through the mailbox's proxy; nil
// where it has none.
func dialThrough(r configs.ResolvedMailbox) (func(ctx context.Context, network, addr string) (net.Conn, error), error) {
	if r.Proxy == "" {
		return nil, nil
	}
	p, err := proxy.Parse(r.Proxy)
	if err != nil {
		return nil, err
	}
	p.Dial = pop3.NetDialer().DialContext
	if !r.ProxyPassword.IsZero() {
		p.Password = r.ProxyPassword.Reveal
	}
	return p.DialContext, nil
}
