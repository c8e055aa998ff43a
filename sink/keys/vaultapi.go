package keys

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/mailkeep/mailkeep/mail"
)

// VaultConfig is how a Vault server is reached.
type VaultConfig struct {
	Address string // such as https://vault.example.org:8200
	Mount   string // path of the transit engine; empty: transit
	Key     string // beginning of the names of the keys
	// Token returns the token, and is asked for each request, so that a renewed
	// one is used at once.
	Token func(context.Context) (string, error)
	Roots *x509.CertPool // authorities of its certificate; nil: the system's
	// Timeout of one request; 0: 30 s.
	Timeout time.Duration
}

const (
	vaultTimeout  = 30 * time.Second
	vaultIdle     = time.Minute
	maxVaultReply = 16 << 20
	maxRedirects  = 3 // of a standby to the active server
)

// A vaultAPI sends requests to one transit engine.
type vaultAPI struct {
	client  *http.Client
	base    string // with /v1
	mount   string
	token   func(context.Context) (string, error)
	timeout time.Duration
}

func newVaultAPI(c VaultConfig) (vaultAPI, error) {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return vaultAPI{}, mail.Errorf(mail.Invalid, "the address of Vault is not of the form https://host:port")
	}
	mount := strings.Trim(c.Mount, "/")
	if mount == "" {
		mount = "transit"
	}
	if c.Timeout <= 0 {
		c.Timeout = vaultTimeout
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		IdleConnTimeout: vaultIdle, MaxIdleConnsPerHost: 2, ForceAttemptHTTP2: true,
	}
	return vaultAPI{
		client: &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		base:   strings.TrimRight(u.String(), "/") + "/v1/", mount: mount, token: c.Token, timeout: c.Timeout,
	}, nil
}

// checkRedirect follows a standby server to the active one, and does not send
// the token in the clear because a server says so.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("redirected to an unprotected connection")
	}
	return nil
}

// get reads from a path of the engine into out.
func (a *vaultAPI) get(ctx context.Context, path string, out any) error {
	return a.do(ctx, http.MethodGet, a.mount+"/"+path, nil, out)
}

// post writes in, if it is not nil, to a path of the engine, and the data of
// the answer to out, if that is not nil.
func (a *vaultAPI) post(ctx context.Context, path string, in, out any) error {
	return a.do(ctx, http.MethodPost, a.mount+"/"+path, in, out)
}

// capabilities returns what the token may do, by path.
func (a *vaultAPI) capabilities(ctx context.Context, paths []string) (map[string][]string, error) {
	var out map[string]json.RawMessage
	if err := a.do(ctx, http.MethodPost, "sys/capabilities-self", map[string][]string{"paths": paths}, &out); err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, path := range paths {
		var may []string
		if json.Unmarshal(out[path], &may) == nil {
			all[path] = may
		}
	}
	return all, nil
}

func (a *vaultAPI) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errVaultSlow)
	defer cancel()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
		defer clear(body)
	}
	req, err := a.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return unreachable(ctx, err)
	}
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxVaultReply+1))
	_ = resp.Body.Close() // it was only read
	defer clear(reply)
	switch {
	case err != nil:
		return unreachable(ctx, err)
	case len(reply) > maxVaultReply:
		return mail.Errorf(mail.Other, "%s: the answer has more than %d octets", vaultSource, maxVaultReply)
	}
	return answer(resp.StatusCode, reply, out)
}

var errVaultSlow = errors.New("no answer in time")

func (a *vaultAPI) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	token, err := a.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("token of Vault: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "request to Vault: %w", err)
	}
	req.Header.Set("X-Vault-Token", token)
	req.Header.Set("X-Vault-Request", "true") // agents may ask for it
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// unreachable classifies what kept an answer from coming.
func unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errVaultSlow) {
		return fmt.Errorf("%s: %w", vaultSource, cause)
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return mail.WithHint(mail.Errorf(mail.Denied, "%s: %w", vaultSource, err), "Name the authority of its certificate in encryption.vault.ca_file.")
	}
	return mail.WithHint(mail.Errorf(mail.Temporary, "%s: %w", vaultSource, err), "See whether Vault runs and can be reached.")
}

// answer reads an answer. A batch with items that failed comes with the status
// 400 and its data: the items say what is wrong.
func answer(status int, reply []byte, out any) error {
	var body struct {
		Data   json.RawMessage `json:"data"`
		Errors []string        `json:"errors"`
	}
	err := json.Unmarshal(reply, &body)
	ok := status == http.StatusOK || status == http.StatusNoContent
	if !ok && (status != http.StatusBadRequest || len(body.Data) == 0 || len(body.Errors) > 0) {
		return refused(status, body.Errors)
	}
	if out == nil {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(body.Data, out)
	}
	if err != nil {
		return mail.Errorf(mail.Other, "%s: the answer is not what its API documents", vaultSource)
	}
	return nil
}

// refused classifies an answer that is an error.
func refused(status int, texts []string) error {
	text := http.StatusText(status)
	if len(texts) > 0 {
		text = clip(strings.Join(texts, "; "))
	}
	kind, hint := vaultKind(status)
	err := mail.Errorf(kind, "%s: status %d: %s", vaultSource, status, text)
	if hint != "" {
		err = mail.WithHint(err, "%s", hint)
	}
	return err
}

func vaultKind(status int) (mail.Kind, string) {
	switch status {
	case http.StatusBadRequest:
		return mail.Invalid, ""
	case http.StatusUnauthorized, http.StatusForbidden:
		return mail.Denied, "See whether the token is valid, and whether its policy allows what mailkeep needs (docs/operations.md)."
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return mail.NotFound, "See whether encryption.vault.mount names a transit engine."
	case http.StatusServiceUnavailable:
		return mail.Temporary, "Vault is sealed, or in maintenance: unseal it."
	case http.StatusPreconditionFailed, http.StatusTooManyRequests, 472, 473: // standby servers
		return mail.Temporary, ""
	}
	if status >= 500 {
		return mail.Temporary, ""
	}
	return mail.Other, ""
}

// clip makes outside text fit to stand in a message.
func clip(s string) string {
	const most = 200
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s), "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
