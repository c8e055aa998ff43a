package pop3_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

func TestRow14CapabilitiesAfterLogin(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Caps = []string{"USER", "LOGIN-DELAY 60 USER"}
		r.srv.CapsAfterLogin = []string{"TOP", "PIPELINING", "UIDL", "LOGIN-DELAY 900"}
		a, err := r.d.Dial(t.Context())
		if err != nil || a.Capabilities().Pipelining || a.TLSState() != "" {
			t.Fatalf("%v, %+v", err, a.Capabilities())
		}
		tx, err := a.Login(t.Context(), pop3.Password{User: "ann", Password: secret})
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Close()
		if c := tx.Capabilities(); !c.Pipelining || !c.Top || c.LoginDelay != 15*time.Minute {
			t.Errorf("%+v", c)
		}
	})
	bubble(t, func(t *testing.T, r *rig) { // refused after login: what was said before holds
		asked := 0
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "CAPA" {
				if asked++; asked > 1 {
					return &pop3test.Action{Raw: "-ERR not now\r\n"}
				}
			}
			return nil
		}})
		if c := r.login().Capabilities(); !c.Known || !c.Pipelining {
			t.Errorf("%+v", c)
		}
	})
}

// TestRow15To20Refusals covers what a server may answer to PASS.
func TestRow15To20Refusals(t *testing.T) {
	for answer, c := range map[string]struct {
		authCodes bool
		class     pop3.Class
		code      string
		kind      mail.Kind
	}{
		"-ERR [AUTH] wrong password":         {true, pop3.Credentials, "AUTH", mail.Denied},
		"-ERR [IN-USE] mailbox is open":      {true, pop3.Busy, "IN-USE", mail.InUse},
		"-ERR [LOGIN-DELAY] wait":            {true, pop3.Rate, "LOGIN-DELAY", mail.Temporary},
		"-ERR [SYS/PERM] disk gone":          {true, pop3.Perm, "SYS/PERM", mail.Denied},
		"-ERR [SYS/TEMP] again":              {true, pop3.Temp, "SYS/TEMP", mail.Temporary},
		"-ERR mailbox locked by POP server":  {false, pop3.Busy, "", mail.InUse},
		"-ERR mailbox locked by POP server ": {true, pop3.Busy, "", mail.InUse},
		"-ERR":                               {false, pop3.Credentials, "", mail.Denied},
		"-ERR ":                              {true, pop3.Temp, "", mail.Temporary},
	} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.srv.Caps = []string{"UIDL"}
				if c.authCodes {
					r.srv.Caps = []string{"UIDL", "RESP-CODES", "AUTH-RESP-CODE"}
				}
				r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
					if c.Verb == "PASS" {
						return &pop3test.Action{Delay: 11 * time.Second, Raw: answer + "\r\n"}
					}
					return nil
				}})
				_, err := r.tryLogin()
				wantError(t, err, c.class, nil)
				e, _ := errors.AsType[*pop3.Error](err)
				if e.Op != "PASS" || e.Code != c.code || mail.KindOf(err) != c.kind {
					t.Errorf("%+v of kind %v", e, mail.KindOf(err))
				}
				if r.sent("USER") != 1 || r.sent("PASS") != 1 || r.sent("AUTH")+r.sent("APOP") != 0 {
					t.Errorf("commands: %v", r.srv.Commands())
				}
			})
		})
	}
}

func TestRow21PlusERR(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(on(map[string]string{"PASS": "+ERR wrong password\r\n"}))
		_, err := r.tryLogin()
		wantError(t, err, pop3.Protocol, nil)
	})
}

func TestRow22CloseAfterPASS(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.hooks(pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
			if c.Verb == "PASS" {
				return &pop3test.Action{End: pop3test.FIN}
			}
			return nil
		}})
		_, err := r.tryLogin()
		wantError(t, err, pop3.Temp, nil)
		if e, _ := errors.AsType[*pop3.Error](err); e.Op != "PASS" || r.srv.Sessions() != 1 {
			t.Errorf("%+v after %d sessions", e, r.srv.Sessions())
		}
	})
}

func TestRow28OddCredentials(t *testing.T) {
	for name, c := range map[string]struct{ user, password string }{
		"CR": {"ann", "a\rb"}, "LF": {"ann\nDELE 1", secret}, "NUL": {"ann", "a\x00"}, "CRLF": {"ann\r\nQUIT", secret},
		"long": {"ann", strings.Repeat("x", 249)}, "8-bit": {"änn", secret}, "8-bit password": {"ann", "pässword"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				a, err := r.d.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				_, err = a.Login(t.Context(), pop3.Password{User: c.user, Password: c.password})
				wantError(t, err, pop3.Perm, nil)
				if r.sent("USER")+r.sent("PASS") != 0 || mail.KindOf(err) != mail.Invalid {
					t.Errorf("sent %v, kind %v", r.srv.Commands(), mail.KindOf(err))
				}
			})
		})
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Caps = []string{"UTF8 USER", "UIDL"}
		r.srv.Mailboxes["änn"] = &pop3test.Mailbox{Password: "pässword"}
		a, err := r.d.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tx, err := a.Login(t.Context(), pop3.Password{User: "änn", Password: "pässword"})
		if err != nil || r.sent("UTF8") != 1 {
			t.Fatalf("with UTF8 USER: %v, %v", err, r.srv.Commands())
		}
		tx.Close()
	})
}
