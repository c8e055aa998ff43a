package pop3_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

var later = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)

func TestRow01NoGreeting(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Silent: true})
		start := time.Now()
		_, err := r.tryLogin()
		wantError(t, err, pop3.Temp, os.ErrDeadlineExceeded)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("gave up after %v", d)
		}
		if !strings.Contains(mail.HintOf(err), "security setting") {
			t.Errorf("hint %q", mail.HintOf(err))
		}
	})
}

func TestRow02GreetingRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{Greeting: "-ERR [SYS/TEMP] come back later\r\n"})
		_, err := r.tryLogin()
		wantError(t, err, pop3.Temp, nil)
		if e, _ := errors.AsType[*pop3.Error](err); e.Code != "SYS/TEMP" || e.Text != "come back later" || mail.KindOf(err) != mail.Temporary {
			t.Errorf("%+v of kind %v", e, mail.KindOf(err))
		}
		if n := len(r.srv.Commands()); n != 0 {
			t.Errorf("%d commands were sent", n)
		}
	})
}

func TestRow03NotPOP3(t *testing.T) {
	for name, greeting := range map[string]string{
		"smtp": "220 mx.example.org ESMTP\r\n", "http": "HTTP/1.1 400 Bad Request\r\n\r\n", "+ERR": "+ERR no\r\n",
		"1 MB line": "+OK " + strings.Repeat("x", 1<<20) + "\r\n", "9 KiB line": "+OK " + strings.Repeat("x", 9<<10) + "\r\n",
		"LF alone": "+OK ready\n", "binary": "\x15\x03\x01\x00\x02\x02\x46\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.script(says(greeting))
				_, err := r.tryLogin()
				wantError(t, err, pop3.Protocol, nil)
				if len(err.Error()) > 600 || mail.HintOf(err) == "" {
					t.Errorf("%d octets of error, hint %q", len(err.Error()), mail.HintOf(err))
				}
			})
		})
	}
}

// TestRow03EndlessLine: no more of a line without end is read than a buffer holds.
func TestRow03EndlessLine(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		read := 0
		r.script(func(c net.Conn) {
			for {
				n, err := io.WriteString(c, strings.Repeat("x", 4096))
				if read += n; err != nil {
					return
				}
			}
		})
		_, err := r.tryLogin()
		wantError(t, err, pop3.Protocol, nil)
		r.wg.Wait()
		if read > 256<<10 {
			t.Errorf("%d octets were read", read)
		}
	})
}

func TestRow04And05Certificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		server *tls.Config
		class  pop3.Class
	}{
		"good":            {ours.server("pop.example.org", later), pop3.None},
		"expired":         {ours.server("pop.example.org", time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)), pop3.Perm},
		"wrong name":      {ours.server("imap.example.org", later), pop3.Perm},
		"other authority": {theirs.server("pop.example.org", later), pop3.Perm},
	} {
		for _, security := range []pop3.Security{pop3.TLS, pop3.STLS} {
			t.Run(name+" "+security.String(), func(t *testing.T) {
				// Over TCP: TLS sends an alert while the server may be writing, for
				// which a pipe has no room.
				r := newRig(t)
				r.d.Security, r.d.TLS = security, ours.client()
				r.d.TLS.ServerName = "pop.example.org"
				r.srv.TLSConfig, r.srv.ImplicitTLS = c.server, security == pop3.TLS
				r.overTCP()
				tx, err := r.tryLogin()
				if c.class != pop3.None {
					wantError(t, err, c.class, nil)
					if r.sent("USER")+r.sent("PASS") != 0 || mail.HintOf(err) == "" || mail.KindOf(err) != mail.Denied {
						t.Errorf("credentials were sent, or no hint: %v", err)
					}
					return
				}
				if err != nil || !strings.HasPrefix(tx.TLSState(), "TLS 1.3 TLS_") {
					t.Fatalf("%v, state %q", err, tx.TLSState())
				}
				if q, err := tx.Quit(t.Context()); q != mail.QuitAcked {
					t.Errorf("QUIT: %v, %v", q, err)
				}
			})
		}
	}
}

func TestRow06OldTLS(t *testing.T) {
	a := newAuthority(t)
	for _, security := range []pop3.Security{pop3.TLS, pop3.STLS} {
		r := newRig(t)
		r.d.Security, r.d.TLS = security, a.client()
		r.d.TLS.MinVersion = tls.VersionTLS10 // raised
		r.d.TLS.ServerName = "pop.example.org"
		r.srv.TLSConfig, r.srv.ImplicitTLS = a.server("pop.example.org", later), security == pop3.TLS
		r.srv.TLSConfig.MaxVersion, r.srv.TLSConfig.MinVersion = tls.VersionTLS11, tls.VersionTLS10
		r.overTCP()
		_, err := r.tryLogin()
		wantError(t, err, pop3.Perm, nil)
		if r.sent("USER")+r.sent("PASS") != 0 {
			t.Error("credentials were sent")
		}
	}
	r := newRig(t) // TLS 1.2 is the least
	r.d.Security, r.d.TLS = pop3.TLS, a.client()
	r.d.TLS.ServerName = "pop.example.org"
	r.srv.TLSConfig, r.srv.ImplicitTLS = a.server("pop.example.org", later), true
	r.srv.TLSConfig.MaxVersion = tls.VersionTLS12
	r.overTCP()
	if tx := r.login(); !strings.HasPrefix(tx.TLSState(), "TLS 1.2 ") {
		t.Errorf("state %q", tx.TLSState())
	}
}

func TestUnverifiedTLSIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.d.Security, r.d.TLS = pop3.TLS, &tls.Config{InsecureSkipVerify: true}
		_, err := r.tryLogin()
		wantError(t, err, pop3.Perm, nil)
		r.d.Security, r.d.Address = pop3.Plain, "pop.example.org"
		_, err = r.tryLogin()
		wantError(t, err, pop3.Perm, nil)
		r.d.Security, r.d.Address = 7, "pop.example.org:1"
		_, err = r.tryLogin()
		wantError(t, err, pop3.Perm, nil)
		if r.srv.Sessions() != 0 || mail.KindOf(err) != mail.Invalid {
			t.Errorf("%d sessions, %v", r.srv.Sessions(), mail.KindOf(err))
		}
	})
}

func TestRow07STLSMissing(t *testing.T) {
	a := newAuthority(t)
	for name, c := range map[string]struct {
		caps  []string
		hooks pop3test.Hooks
	}{
		"not announced": {[]string{"UIDL"}, pop3test.Hooks{}},
		"refused":       {[]string{"STLS"}, on(map[string]string{"STLS": "-ERR not now\r\n"})},
		"no CAPA":       {nil, on(map[string]string{"CAPA": "-ERR what\r\n", "STLS": "-ERR what\r\n"})},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.d.Security, r.d.TLS = pop3.STLS, a.client()
				r.srv.Caps = c.caps
				r.hooks(c.hooks)
				_, err := r.tryLogin()
				wantError(t, err, pop3.Perm, nil)
				if r.sent("USER") != 0 {
					t.Error("USER was sent in the clear")
				}
				if name == "not announced" && r.sent("STLS") != 0 {
					t.Error("asked for what is not there")
				}
			})
		})
	}
}

// TestSTLSForgetsCapabilities: what was announced without protection may have
// been written by anybody.
func TestSTLSForgetsCapabilities(t *testing.T) {
	a := newAuthority(t)
	bubble(t, func(t *testing.T, r *rig) {
		r.d.Security, r.d.TLS = pop3.STLS, a.client()
		r.srv.TLSConfig = a.server("pop.example.org", later)
		asked := 0
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "CAPA" {
				if asked++; asked > 1 {
					return &pop3test.Action{Raw: "-ERR not now\r\n"}
				}
			}
			return nil
		}})
		if c := r.login().Capabilities(); c.Known || c.Pipelining {
			t.Errorf("%+v", c)
		}
	})
}

func TestRow08OctetsBehindSTLS(t *testing.T) {
	a := newAuthority(t)
	bubble(t, func(t *testing.T, r *rig) {
		r.d.Security, r.d.TLS = pop3.STLS, a.client()
		r.srv.TLSConfig = a.server("pop.example.org", later)
		r.hooks(on(map[string]string{"STLS": "+OK\r\n+OK injected\r\n"}))
		_, err := r.tryLogin()
		wantError(t, err, pop3.Protocol, nil)
	})
}

func TestRow09HandshakeStalls(t *testing.T) {
	a := newAuthority(t)
	bubble(t, func(t *testing.T, r *rig) {
		r.d.Security, r.d.TLS = pop3.TLS, a.client()
		r.script(says(""))
		start := time.Now()
		_, err := r.tryLogin()
		wantError(t, err, pop3.Temp, os.ErrDeadlineExceeded)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestRow10WrongPort(t *testing.T) {
	a := newAuthority(t)
	t.Run("no TLS", func(t *testing.T) {
		r := newRig(t)
		r.d.Security, r.d.TLS = pop3.TLS, a.client()
		r.overTCP()
		_, err := r.tryLogin() // the server greets in the clear
		wantError(t, err, pop3.Perm, nil)
		if !strings.Contains(err.Error(), "does not speak TLS") || mail.HintOf(err) == "" {
			t.Errorf("%v; hint %q", err, mail.HintOf(err))
		}
	})
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.TLSConfig, r.srv.ImplicitTLS = a.server("pop.example.org", later), true
		_, err := r.tryLogin() // the server waits for a handshake
		wantError(t, err, pop3.Temp, nil)
		if r.sent("USER") != 0 {
			t.Error("USER was sent")
		}
	})
}

func TestRow11CAPARefused(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"CAPA": "-ERR what?\r\n"}))
		tx := r.login()
		if c := tx.Capabilities(); c.Known || c.Pipelining || r.srv.Sessions() != 1 {
			t.Errorf("%+v in %d sessions", c, r.srv.Sessions())
		}
	})
}

func TestRow12CAPAKills(t *testing.T) {
	for name, act := range map[string]pop3test.Action{
		"closes":        {End: pop3test.FIN},
		"closes inside": {Raw: "+OK\r\nTOP\r\n", End: pop3test.FIN},
		"falls silent":  {End: pop3test.Stall},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			bubble(t, func(t *testing.T, r *rig) {
				r.d.Security, r.d.TLS = pop3.STLS, a.client()
				r.srv.TLSConfig = a.server("pop.example.org", later)
				r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
					if c.Verb == "CAPA" {
						return &act
					}
					return nil
				}})
				tx := r.login()
				if tx.Capabilities().Known || tx.TLSState() == "" || r.srv.Sessions() != 2 || r.sent("CAPA") != 1 {
					t.Errorf("%+v, TLS %q, %d sessions, %d CAPA", tx.Capabilities(), tx.TLSState(), r.srv.Sessions(), r.sent("CAPA"))
				}
			})
		})
	}
}

func TestRow13CAPAEndless(t *testing.T) {
	for name, capa := range map[string]string{
		"lines": "+OK\r\n" + strings.Repeat("X-CAP\r\n", 10_000), "a line": "+OK\r\n" + strings.Repeat("X", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.hooks(on(map[string]string{"CAPA": capa}))
				_, err := r.tryLogin()
				wantError(t, err, pop3.Protocol, nil)
			})
		})
	}
}

func TestConnectFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.d.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		start := time.Now()
		_, err := r.tryLogin()
		wantError(t, err, pop3.Temp, context.DeadlineExceeded)
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("gave up after %v", d)
		}
	})
}

// TestCancel tells that the end of a context ends each wait at once, and that
// one that ended before does no harm.
func TestCancel(t *testing.T) {
	a := newAuthority(t)
	stall := func(verb string) pop3test.Hooks {
		return pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == verb {
				return &pop3test.Action{End: pop3test.Stall}
			}
			return nil
		}}
	}
	for _, step := range []string{"greeting", "tls", "CAPA", "PASS", "STAT", "LIST", "RETR", "NOOP", "QUIT"} {
		t.Run(step, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				switch step {
				case "greeting":
					r.hooks(pop3test.Hooks{Silent: true})
				case "tls":
					r.d.Security, r.d.TLS = pop3.TLS, a.client()
					r.script(says(""))
				default:
					r.hooks(stall(step))
				}
				cause := errors.New("told to stop")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(7*time.Second, func() { cancel(cause) })
				start := time.Now()
				err := walk(ctx, r)
				wantError(t, err, pop3.Temp, context.Canceled)
				if !errors.Is(err, cause) || time.Since(start) != 7*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			}, "a\r\n")
		})
	}
	bubble(t, func(t *testing.T, r *rig) {
		tx := r.login()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantError(t, tx.Noop(ctx), pop3.Temp, context.Canceled)
		if err := tx.Noop(t.Context()); err != nil {
			t.Errorf("the session was harmed: %v", err)
		}
	})
}

// walk goes through a whole session.
func walk(ctx context.Context, r *rig) error {
	a, err := r.d.Dial(ctx)
	if err != nil {
		return err
	}
	tx, err := a.Login(ctx, pop3.Password{User: "ann", Password: secret})
	if err != nil {
		return err
	}
	defer tx.Close()
	if _, _, err := tx.Stat(ctx); err != nil {
		return err
	}
	if _, err := tx.List(ctx); err != nil {
		return err
	}
	err = tx.Retrieve(ctx, []pop3.Want{{Number: 1}}, pop3.Window{Count: 1},
		func(int) (io.Writer, error) { return io.Discard, nil }, func(pop3.Retrieved) error { return nil })
	if err != nil {
		return err
	}
	_, err = tx.Quit(ctx)
	return err
}

func TestSecretsStaySecret(t *testing.T) {
	echo := "-ERR user ann, password " + secret + ", is wrong\r\n"
	for name, h := range map[string]pop3test.Hooks{
		"at PASS":       on(map[string]string{"PASS": echo}),
		"as code":       on(map[string]string{"PASS": "-ERR [" + secret + "] no\r\n"}),
		"in upper case": on(map[string]string{"PASS": strings.ToUpper(echo)}),
		"not a status":  on(map[string]string{"PASS": secret + "\r\n"}),
		"behind a cut":  on(map[string]string{"PASS": "-ERR " + strings.Repeat("x", 195) + secret + "\r\n"}),
		"at STAT":       on(map[string]string{"STAT": "+OK " + secret + "\r\n"}),
		"at LIST":       on(map[string]string{"LIST": echo}),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var logs bytes.Buffer
				r.d.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
				r.hooks(h)
				err := walk(t.Context(), r)
				if err == nil {
					t.Fatal("no error")
				}
				said := strings.ToLower(err.Error() + logs.String())
				if strings.Contains(said, strings.ToLower(secret)) || strings.Contains(said, strings.ToLower(secret[:5])) {
					t.Errorf("told: %s", said)
				}
			})
		})
	}
}

func TestDialLeavesNothingOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var open int
		dial := r.d.DialContext
		r.d.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			open++
			return &counted{Conn: c, open: &open}, err
		}
		r.hooks(on(map[string]string{"PASS": "-ERR no\r\n"}))
		if _, err := r.tryLogin(); err == nil || open != 0 {
			t.Errorf("after a refused login: %v, %d open", err, open)
		}
		r.hooks(pop3test.Hooks{})
		a, err := r.d.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Quit(t.Context()); err != nil || open != 0 || r.sent("QUIT") != 1 {
			t.Errorf("after Auth.Quit: %v, %d open", err, open)
		}
		if err := a.Quit(t.Context()); !errors.Is(err, pop3.ErrClosed) {
			t.Errorf("QUIT again: %v", err)
		}
	})
}

type counted struct {
	net.Conn
	open   *int
	closed bool
}

func (c *counted) Close() error {
	if !c.closed {
		c.closed = true
		*c.open--
	}
	return c.Conn.Close()
}
