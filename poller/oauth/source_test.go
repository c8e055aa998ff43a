package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/oauth"
)

const (
	clientSecret = "client-hunter2-Q9"
	refreshToken = "refresh-hunter2-Q9"
)

// A server is a token server that answers in the test's own goroutines.
type server struct {
	mu      sync.Mutex
	asked   []url.Values
	basic   []string // user:password of HTTP Basic
	delay   time.Duration
	answer  func(n int, form url.Values) (status int, body any)
	headers http.Header
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.delay):
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	b, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(b))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, form)
	user, password, _ := r.BasicAuth()
	s.basic = append(s.basic, user+":"+password)
	status, body := http.StatusOK, any(map[string]any{"access_token": fmt.Sprintf("token-%d", len(s.asked)), "token_type": "Bearer", "expires_in": 3600})
	if s.answer != nil {
		status, body = s.answer(len(s.asked), form)
	}
	w := httptest.NewRecorder()
	maps.Copy(w.Header(), s.headers)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if text, ok := body.(string); ok {
		io.WriteString(w, text)
	} else {
		json.NewEncoder(w).Encode(body)
	}
	return w.Result(), nil
}

func (s *server) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func text(s *string) func() (string, error) { return func() (string, error) { return *s, nil } }

// client returns the configuration of the client credentials flow.
func client(s *server) oauth.Config {
	return oauth.Config{
		TokenURL: "https://login.example.org/token", ClientID: "mailkeep", ClientSecret: text(new(clientSecret)),
		Scopes: []string{"https://mail.example.org/.default"}, HTTP: &http.Client{Transport: s},
	}
}

func newSource(t *testing.T, c oauth.Config) *oauth.Source {
	t.Helper()
	s, err := oauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// want fails unless the token is got.
func want(t *testing.T, s *oauth.Source, token string) {
	t.Helper()
	if got, err := s.Token(t.Context()); err != nil || got != token {
		t.Errorf("%q, %v; want %q", got, err, token)
	}
}

func refused(code string) func(int, url.Values) (int, any) {
	return func(int, url.Values) (int, any) {
		return http.StatusBadRequest, map[string]any{"error": code, "error_description": "no"}
	}
}

func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		s := newSource(t, client(srv))
		if !s.Expiry().IsZero() {
			t.Error("a token before the first")
		}
		want(t, s, "token-1")
		if d := time.Until(s.Expiry()); d < 59*time.Minute || d > time.Hour {
			t.Errorf("expires in %v", d)
		}
		elapse(58 * time.Minute)
		want(t, s, "token-1")
		elapse(time.Minute + time.Second)
		want(t, s, "token-2")
		form := srv.asked[0]
		if form.Get("grant_type") != "client_credentials" || form.Get("client_id") != "mailkeep" || form.Get("client_secret") != clientSecret ||
			form.Get("scope") != "https://mail.example.org/.default" || srv.basic[0] != ":" {
			t.Errorf("asked %v with %q", form, srv.basic[0])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		c := client(srv)
		c.Style = oauth.Basic
		want(t, newSource(t, c), "token-1")
		if srv.basic[0] != "mailkeep:"+clientSecret || srv.asked[0].Has("client_secret") {
			t.Errorf("asked %v with %q", srv.asked[0], srv.basic[0])
		}
	})
}

// TestOneFlight: a thousand mailboxes cost one request, and who gives up waiting
// does not take the others along.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{delay: 10 * time.Second}
		s := newSource(t, client(srv))
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		gone := make(chan error)
		go func() {
			_, err := s.Token(impatient)
			gone <- err
		}()
		synctest.Wait() // it is the one who asks
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { want(t, s, "token-1") })
		}
		if err := <-gone; !errors.Is(err, context.DeadlineExceeded) || oauth.ClassOf(err) != oauth.None {
			t.Errorf("who gave up: %v", err)
		}
		wg.Wait()
		if srv.requests() != 1 {
			t.Errorf("%d requests", srv.requests())
		}
	})
}

func TestShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: func(n int, _ url.Values) (int, any) {
			body := map[string]any{"access_token": fmt.Sprintf("token-%d", n)}
			if n == 1 {
				body["expires_in"] = "40" // as text, which some send
			}
			return http.StatusOK, body
		}}
		s := newSource(t, client(srv))
		want(t, s, "token-1")
		elapse(29 * time.Second)
		want(t, s, "token-1")
		elapse(2 * time.Second)
		want(t, s, "token-2") // whose end is not told
		if !s.Expiry().IsZero() {
			t.Errorf("expiry %v", s.Expiry())
		}
		elapse(59 * time.Minute)
		want(t, s, "token-2")
		elapse(2 * time.Minute)
		want(t, s, "token-3")
	})
}

func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		s := newSource(t, client(srv))
		renew := func(refused, want string) {
			t.Helper()
			if got, err := s.Renew(t.Context(), refused); err != nil || got != want {
				t.Errorf("in place of %s: %q, %v; want %q", refused, got, err, want)
			}
		}
		want(t, s, "token-1")
		renew("token-1", "token-1") // it is young
		elapse(2 * time.Minute)
		renew("token-1", "token-2")
		renew("token-1", "token-2") // another mailbox, refused with the same one
		renew("token-2", "token-2")
		want(t, s, "token-2")
		if srv.requests() != 2 {
			t.Errorf("%d requests", srv.requests())
		}
	})
}

func TestRefreshToken(t *testing.T) {
	for _, keep := range []string{"memory", "kept", "cannot be kept"} {
		t.Run(keep, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &server{answer: func(n int, form url.Values) (int, any) {
					if n > 1 && form.Get("refresh_token") != fmt.Sprintf("rotated-%d", n-1) {
						return http.StatusBadRequest, map[string]any{"error": "invalid_grant"}
					}
					return http.StatusOK, map[string]any{
						"access_token": fmt.Sprintf("token-%d", n), "token_type": "bearer", "expires_in": 3600, "refresh_token": fmt.Sprintf("rotated-%d", n),
					}
				}}
				file := refreshToken
				var logs bytes.Buffer
				c := client(srv)
				c.ClientSecret, c.RefreshToken = nil, text(&file)
				c.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
				switch keep {
				case "kept":
					c.Keep = func(s string) error { file = s; return nil }
				case "cannot be kept":
					c.Keep = func(string) error { return errors.New("read-only") }
				}
				s := newSource(t, c)
				before, err := s.Secret(t.Context())
				if err != nil || !strings.Contains(before, refreshToken) {
					t.Fatalf("%q, %v", before, err)
				}
				for n := range 3 {
					want(t, s, fmt.Sprintf("token-%d", n+1))
					elapse(time.Hour)
				}
				if f := srv.asked[0]; f.Get("grant_type") != "refresh_token" || f.Get("refresh_token") != refreshToken || f.Has("client_secret") {
					t.Errorf("asked %v", f)
				}
				if after, err := s.Secret(t.Context()); err != nil || after != before {
					t.Error("a rotation is taken for a change by the operator")
				}
				if keep == "kept" && file != "rotated-3" {
					t.Errorf("the file holds %q", file)
				}
				if strings.Contains(logs.String(), "cannot be kept") != (keep == "cannot be kept") {
					t.Errorf("log: %s", &logs)
				}
				for _, s := range []string{refreshToken, "rotated-", "token-1"} {
					if strings.Contains(logs.String(), s) {
						t.Errorf("the log tells %q: %s", s, &logs)
					}
				}
				// The operator stores another one.
				file = "rotated-3"
				if keep != "kept" {
					if after, _ := s.Secret(t.Context()); after == before {
						t.Error("the change is not noticed")
					}
				}
				want(t, s, "token-4")
			})
		})
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   any
		after  string // Retry-After
		class  oauth.Class
		kind   mail.Kind
		pause  time.Duration
	}{
		"wrong secret":      {401, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215"}, "", oauth.Credentials, mail.Denied, 15 * time.Minute},
		"withdrawn":         {400, map[string]any{"error": "invalid_grant"}, "", oauth.Credentials, mail.Denied, 15 * time.Minute},
		"401 without words": {401, "", "", oauth.Credentials, mail.Denied, 15 * time.Minute},
		"wrong scope":       {400, map[string]any{"error": "invalid_scope"}, "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"not allowed":       {400, map[string]any{"error": "unauthorized_client"}, "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"no such page":      {404, "<html>", "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"moved":             {302, "", "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"refused with 200":  {200, map[string]any{"error": "invalid_grant"}, "", oauth.Credentials, mail.Denied, 15 * time.Minute},
		"too often":         {429, "", "120", oauth.Rate, mail.Temporary, 2 * time.Minute},
		"slow down":         {400, map[string]any{"error": "slow_down"}, "", oauth.Rate, mail.Temporary, time.Minute},
		"silenced for ever": {429, "", "999999999", oauth.Rate, mail.Temporary, time.Hour},
		"silenced till":     {429, "", "Sat, 01 Jan 2000 00:05:00 GMT", oauth.Rate, mail.Temporary, 5 * time.Minute},
		"broken":            {500, "<html>oops</html>", "", oauth.Temp, mail.Temporary, 10 * time.Second},
		"down":              {503, map[string]any{"error": "temporarily_unavailable"}, "40", oauth.Temp, mail.Temporary, 40 * time.Second},
		"not JSON":          {200, "hello", "", oauth.Temp, mail.Temporary, 10 * time.Second},
		"no token":          {200, map[string]any{"expires_in": 1}, "", oauth.Temp, mail.Temporary, 10 * time.Second},
		"another type":      {200, map[string]any{"access_token": "x", "token_type": "mac"}, "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"with a line end":   {200, map[string]any{"access_token": "x\r\nDELE 1"}, "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"too long":          {200, map[string]any{"access_token": strings.Repeat("x", 9<<10)}, "", oauth.Perm, mail.Invalid, 15 * time.Minute},
		"endless":           {200, strings.Repeat(" ", 2<<20), "", oauth.Temp, mail.Temporary, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := &server{answer: func(int, url.Values) (int, any) { return c.status, c.body }, headers: http.Header{}}
				if c.after != "" {
					srv.headers.Set("Retry-After", c.after)
				}
				conf := client(srv)
				conf.HTTP.CheckRedirect = oauth.NewHTTPClient(nil).CheckRedirect
				s := newSource(t, conf)
				_, err := s.Token(t.Context())
				if oauth.ClassOf(err) != c.class || mail.KindOf(err) != c.kind || len(err.Error()) > 500 {
					t.Fatalf("class %v, kind %v: %v", oauth.ClassOf(err), mail.KindOf(err), err)
				}
				if hint := mail.HintOf(err); (hint == "") != (c.kind == mail.Temporary) {
					t.Errorf("hint %q", hint)
				}
				// It is remembered, and then asked about again.
				elapse(c.pause - time.Second)
				if _, again := s.Token(t.Context()); again != err || srv.requests() != 1 {
					t.Errorf("%v after %d requests", again, srv.requests())
				}
				elapse(2 * time.Second)
				srv.answer = nil
				want(t, s, "token-2")
			})
		})
	}
}

func TestPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: func(int, url.Values) (int, any) { return 500, "" }}
		s := newSource(t, client(srv))
		for range 3600 {
			if _, err := s.Token(t.Context()); err == nil {
				t.Fatal("a token")
			}
			elapse(time.Second)
		}
		if n := srv.requests(); n < 10 || n > 20 {
			t.Errorf("%d requests in an hour", n)
		}
	})
}

// TestAnotherSecretIsTriedAtOnce: a remembered refusal is one of that secret.
func TestAnotherSecretIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{answer: refused("invalid_client")}
		c, secret := client(&server{}), "wrong"
		c.HTTP.Transport, c.ClientSecret = srv, text(&secret)
		s := newSource(t, c)
		if _, err := s.Token(t.Context()); oauth.ClassOf(err) != oauth.Credentials {
			t.Fatal(err)
		}
		secret, srv.answer = clientSecret, nil
		want(t, s, "token-2")
	})
}

func TestFailureToRenewKeepsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &server{}
		s := newSource(t, client(srv))
		want(t, s, "token-1")
		elapse(2 * time.Minute)
		srv.answer = func(int, url.Values) (int, any) { return 500, "" }
		if _, err := s.Renew(t.Context(), "token-1"); oauth.ClassOf(err) != oauth.Temp {
			t.Error(err)
		}
		want(t, s, "token-1") // for the mailboxes that it still opens
	})
}

func TestSecretsThatCannotBeRead(t *testing.T) {
	missing := func() (string, error) { return "", mail.Errorf(mail.NotFound, "no such file") }
	srv := &server{}
	for _, c := range []oauth.Config{
		{TokenURL: "https://login.example.org/token", ClientID: "x", ClientSecret: missing, HTTP: &http.Client{Transport: srv}},
		{TokenURL: "https://login.example.org/token", ClientID: "x", RefreshToken: missing, HTTP: &http.Client{Transport: srv}},
	} {
		s := newSource(t, c)
		for _, ask := range []func(context.Context) (string, error){s.Token, s.Secret, func(ctx context.Context) (string, error) { return s.Renew(ctx, "x") }} {
			if _, err := ask(t.Context()); mail.KindOf(err) != mail.NotFound || srv.requests() != 0 {
				t.Errorf("%v, %d requests", err, srv.requests())
			}
		}
	}
}

func TestSecretsStaySecret(t *testing.T) {
	for _, echo := range []string{clientSecret, strings.ToUpper(clientSecret), clientSecret[3:16]} {
		srv := &server{answer: func(int, url.Values) (int, any) {
			return 400, map[string]any{"error": "invalid_client", "error_description": "what is " + echo + "?"}
		}}
		_, err := newSource(t, client(srv)).Token(t.Context())
		if err == nil || strings.Contains(err.Error(), echo) || !strings.Contains(err.Error(), "withheld") {
			t.Errorf("%v", err)
		}
	}
	srv := &server{answer: func(int, url.Values) (int, any) { return 200, "\x00" + clientSecret }}
	if _, err := newSource(t, client(srv)).Token(t.Context()); err == nil || strings.Contains(err.Error(), clientSecret) {
		t.Errorf("%v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []oauth.Config{
		{}, {TokenURL: "http://login.example.org/token", ClientID: "x", ClientSecret: text(new(""))},
		{TokenURL: "https://ann:x@login.example.org/token", ClientID: "x", ClientSecret: text(new(""))},
		{TokenURL: "login.example.org", ClientID: "x", ClientSecret: text(new(""))},
		{TokenURL: "https://login.example.org/token", ClientSecret: text(new(""))},
		{TokenURL: "https://login.example.org/token", ClientID: "x"},
	} {
		if _, err := oauth.New(c); mail.KindOf(err) != mail.Invalid && !strings.Contains(err.Error(), "client id") {
			t.Errorf("%+v: %v", c.TokenURL, err)
		}
	}
}

// TestRealServer asks over TCP: a redirect is not followed, and a server that
// does not answer costs no more than the caller's time.
func TestRealServer(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		switch r.URL.Path {
		case "/token":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"access_token":"real","token_type":"Bearer","expires_in":60}`)
		case "/moved":
			http.Redirect(w, r, "/token", http.StatusTemporaryRedirect)
		case "/silent":
			io.Copy(io.Discard, r.Body) // only then does the server notice that the client goes
			<-r.Context().Done()
		}
	}))
	defer l.Close()
	c := oauth.Config{ClientID: "x", ClientSecret: text(new(clientSecret)), TokenURL: l.URL + "/token"}
	want(t, newSource(t, c), "real")
	c.TokenURL = l.URL + "/moved"
	if _, err := newSource(t, c).Token(t.Context()); oauth.ClassOf(err) != oauth.Perm {
		t.Errorf("redirected: %v", err)
	}
	c.TokenURL, c.HTTP = l.URL+"/silent", oauth.NewHTTPClient(nil)
	c.HTTP.Timeout = 50 * time.Millisecond
	if _, err := newSource(t, c).Token(t.Context()); oauth.ClassOf(err) != oauth.Temp {
		t.Errorf("silent: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 3 {
		t.Errorf("asked for %v", asked)
	}
}

// elapse lets the time of the bubble pass.
func elapse(d time.Duration) { <-time.After(d) }
