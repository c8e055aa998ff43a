package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	requestTimeout = 30 * time.Second
	maxHeader      = 64 << 10
)

// NewHTTPClient returns a client for token servers: TLS 1.2 or later against the
// roots (nil is the system's), bounded in time and in what it reads, through the
// proxy that the environment names, and following no redirect.
func NewHTTPClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        time.Minute,
		},
	}
}

// request asks the token server once. The error is an *Error.
func (s *Source) request(ctx context.Context, q query) (*oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.c.HTTP)
	var got *oauth2.Token
	var err error
	if s.c.RefreshToken == nil {
		c := clientcredentials.Config{
			ClientID: s.c.ClientID, ClientSecret: q.client, TokenURL: s.c.TokenURL, Scopes: s.c.Scopes, AuthStyle: s.c.Style.style(),
		}
		got, err = c.Token(ctx)
	} else {
		c := oauth2.Config{
			ClientID: s.c.ClientID, ClientSecret: q.client, Scopes: s.c.Scopes,
			Endpoint: oauth2.Endpoint{TokenURL: s.c.TokenURL, AuthStyle: s.c.Style.style()},
		}
		got, err = c.TokenSource(ctx, &oauth2.Token{RefreshToken: q.refresh}).Token()
	}
	switch {
	case err != nil:
		return nil, failure(err, time.Now(), q.client, q.refresh)
	case !strings.EqualFold(got.Type(), "bearer"):
		return nil, &Error{Class: Perm, Err: errors.New("the token server gives tokens of another type than bearer")}
	case !validToken(got.AccessToken):
		return nil, &Error{Class: Perm, Err: errors.New("the token server gives a token that cannot be sent")}
	}
	return got, nil
}

func (s Style) style() oauth2.AuthStyle {
	if s == Basic {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}
