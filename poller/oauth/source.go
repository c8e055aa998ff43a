package oauth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Style is how a client names itself to the token server.
type Style uint8

// The styles (RFC 6749 section 2.3.1).
const (
	Post  Style = iota // client_id and client_secret in the body, as Microsoft and Google document it; the default
	Basic              // HTTP Basic authentication
)

// Config is what a Source is made of.
type Config struct {
	TokenURL string // https, or http on loopback
	ClientID string
	// ClientSecret returns the client's secret as it is now; nil for a public
	// client, which has none.
	ClientSecret func() (string, error)
	// RefreshToken returns the refresh token as it is configured now. nil is the
	// client credentials flow.
	RefreshToken func() (string, error)
	// Keep, if not nil, puts a refresh token that the server has replaced where
	// RefreshToken finds it, durably. Without it the new one lives in memory.
	Keep   func(refreshToken string) error
	Scopes []string
	Style  Style

	HTTP   *http.Client // NewHTTPClient(nil) if nil; may be shared
	Logger *slog.Logger // nil discards
}

// A Source supplies the tokens of one client or one person. It may be used by
// any number of goroutines at once.
type Source struct {
	c    Config
	turn chan struct{} // held by the one who asks the token server

	// origin, kept and current belong to the holder of turn.
	origin  string // the refresh token as somebody else than Keep configured it
	seen    string // what RefreshToken returned last
	current string // the refresh token in use

	mu      sync.Mutex // guards what follows
	token   string
	fetched time.Time
	expiry  time.Time
	fresh   time.Time // until when the token is given out
	failed  memory
}

// A memory is of the last failure; err is nil after a success.
type memory struct {
	err    error
	secret string
	until  time.Time
	times  int // in a row
}

// New returns a Source that has asked for nothing yet. The error, of the kind
// mail.Invalid, names every fault of the configuration.
func New(c Config) (*Source, error) {
	var faults []error
	if c.ClientID == "" {
		faults = append(faults, mail.Errorf(mail.Invalid, "no client id"))
	}
	if c.RefreshToken == nil && c.ClientSecret == nil {
		faults = append(faults, mail.Errorf(mail.Invalid, "the client credentials flow needs a client secret"))
	}
	faults = append(faults, checkURL(c.TokenURL))
	if c.HTTP == nil {
		c.HTTP = NewHTTPClient(nil)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{c: c, turn: make(chan struct{}, 1)}, errors.Join(faults...)
}

// checkURL refuses what would send a secret in the clear.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return mail.Errorf(mail.Invalid, "the token URL is not an https URL without user and fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return mail.Errorf(mail.Invalid, "the token URL would send the secret in the clear")
}

func isLoopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

// Token returns a token that is good for a minute at least, or for most of a
// shorter life. The error is an *Error, or that of ctx or of reading a secret.
func (s *Source) Token(ctx context.Context) (string, error) {
	if token, ok := s.held(time.Now()); ok {
		return token, nil
	}
	if err := s.take(ctx); err != nil {
		return "", err
	}
	defer s.release()
	if token, ok := s.held(time.Now()); ok {
		return token, nil
	}
	return s.fetch(ctx)
}

// renewable is how old a token must be to be renewed.
const renewable = time.Minute

// Renew returns another token than the one that was refused; or the same, if it
// is so young that another one would be refused as well.
func (s *Source) Renew(ctx context.Context, refused string) (string, error) {
	if err := s.take(ctx); err != nil {
		return "", err
	}
	defer s.release()
	now := time.Now()
	if token, ok := s.held(now); ok && (token != refused || s.age(now) < renewable) {
		return token, nil
	}
	return s.fetch(ctx)
}

// Secret returns what an operator changes to mend a refusal: the client's
// secret and the refresh token as it was configured, not as the server replaced
// it since. It is compared and never shown.
func (s *Source) Secret(ctx context.Context) (string, error) {
	if err := s.take(ctx); err != nil {
		return "", err
	}
	defer s.release()
	q, err := s.secrets()
	return q.client + "\x00" + s.origin, err
}

// Expiry returns when the token that is held ends; zero if there is none or the
// server did not say.
func (s *Source) Expiry() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiry
}

func (s *Source) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Source) release() { <-s.turn }

// held returns the token if it is to be given out at now.
func (s *Source) held(now time.Time) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, s.token != "" && now.Before(s.fresh)
}

func (s *Source) age(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.fetched)
}

// query is what a request takes from the configuration.
type query struct{ client, refresh string }

// secrets reads the secrets as they are now. A refresh token that somebody has
// configured anew takes the place of the one in use.
func (s *Source) secrets() (q query, err error) {
	if s.c.ClientSecret != nil {
		if q.client, err = s.c.ClientSecret(); err != nil {
			return q, mail.Errorf(mail.KindOf(err), "read the client secret: %w", err)
		}
	}
	if s.c.RefreshToken == nil {
		return q, nil
	}
	configured, err := s.c.RefreshToken()
	if err != nil {
		return q, mail.Errorf(mail.KindOf(err), "read the refresh token: %w", err)
	}
	if configured != s.seen {
		s.origin, s.seen, s.current = configured, configured, configured
	}
	q.refresh = s.current
	return q, nil
}

// fetch asks the token server, unless it has refused the same lately. It is
// called by the holder of turn.
func (s *Source) fetch(ctx context.Context) (string, error) {
	q, err := s.secrets()
	if err != nil {
		return "", err
	}
	key := q.client + "\x00" + s.origin
	if err := s.remembered(key, time.Now()); err != nil {
		return "", err
	}
	got, err := s.request(ctx, q)
	if err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx) // it says nothing of the token server
		}
		s.remember(err, key, time.Now())
		return "", err
	}
	s.replace(ctx, q.refresh, got.RefreshToken)
	s.store(got.AccessToken, got.Expiry, time.Now())
	s.c.Logger.LogAttrs(ctx, slog.LevelDebug, "token fetched", slog.String("client", s.c.ClientID), slog.Time("expiry", got.Expiry))
	return got.AccessToken, nil
}

// replace takes a refresh token that the server has given in place of the old
// one.
func (s *Source) replace(ctx context.Context, old, new string) {
	if s.c.RefreshToken == nil || new == "" || new == old {
		return
	}
	s.current = new
	if s.c.Keep == nil {
		s.c.Logger.LogAttrs(ctx, slog.LevelDebug, "refresh token replaced in memory", slog.String("client", s.c.ClientID))
		return
	}
	if err := s.c.Keep(new); err != nil {
		s.c.Logger.LogAttrs(ctx, slog.LevelError, "a new refresh token cannot be kept: without it the next start may be refused",
			slog.String("client", s.c.ClientID), slog.Any("error", err))
		return
	}
	s.seen = new
}

const (
	margin    = time.Minute // before its end a token is not given out any more
	unlimited = time.Hour   // life of a token whose end is not told
)

// store keeps a token. One that lives only a few minutes is given out for three
// quarters of its life.
func (s *Source) store(token string, expiry, now time.Time) {
	fresh := now.Add(unlimited)
	if !expiry.IsZero() {
		fresh = expiry.Add(-min(margin, expiry.Sub(now)/4))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.fetched, s.expiry, s.fresh, s.failed = token, now, expiry, fresh, memory{}
}

// remembered returns the failure of the last request, if it was with the same
// secret and not long ago.
func (s *Source) remembered(secret string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed.err == nil || s.failed.secret != secret || !now.Before(s.failed.until) {
		return nil
	}
	return s.failed.err
}

// remember notes a failure.
func (s *Source) remember(err error, secret string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := memory{err: err, secret: secret, times: 1}
	if s.failed.err != nil && s.failed.secret == secret {
		m.times = s.failed.times + 1
	}
	m.until = now.Add(pause(err, m.times))
	s.failed = m
}

// pause is how long the token server is left alone after a failure.
func pause(err error, times int) time.Duration {
	e, _ := errors.AsType[*Error](err)
	switch e.Class {
	case Credentials, Perm:
		return 15 * time.Minute
	case Rate:
		return max(e.RetryAfter, time.Minute)
	}
	return max(e.RetryAfter, min(10*time.Second<<min(times-1, 5), 5*time.Minute))
}

// validToken reports whether s can be sent as a bearer token (RFC 6750 section
// 2.1).
func validToken(s string) bool {
	const most = 8 << 10
	return s != "" && len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
