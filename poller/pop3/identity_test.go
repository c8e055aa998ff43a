package pop3_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/pop3"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// secured puts the rig under STLS and gives its server the mechanisms.
func (r *rig) secured(mechanisms ...string) {
	a := newAuthority(r.t)
	r.d.Security, r.d.TLS = pop3.STLS, a.client()
	r.srv.TLSConfig, r.srv.Mechanisms = a.server("pop.example.org", later), mechanisms
}

// enter logs in with the identity.
func (r *rig) enter(as pop3.Identity) error {
	r.t.Helper()
	a, err := r.d.Dial(r.t.Context())
	if err != nil {
		return err
	}
	tx, err := a.Login(r.t.Context(), as)
	if err != nil {
		return err
	}
	_, err = tx.Quit(r.t.Context())
	return err
}

// entered lists the commands by which logins were tried, without secrets.
func (r *rig) entered() string {
	var all []string
	for _, c := range r.srv.Commands() {
		switch c.Verb {
		case "USER", "PASS", "APOP", "AUTH", pop3test.Response:
			all = append(all, c.Line())
		}
	}
	return strings.Join(all, ", ")
}

func TestMechanismIsPickedOnce(t *testing.T) {
	token := func(m pop3.TokenMechanism) pop3.Identity { return pop3.Token{User: "ann", Token: secret, Mechanism: m} }
	password := func(m pop3.PasswordMechanism) pop3.Identity {
		return pop3.Password{User: "ann", Password: secret, Mechanism: m}
	}
	for name, c := range map[string]struct {
		offers string
		as     pop3.Identity
		want   string
	}{
		"all, password":     {"XOAUTH2 PLAIN SCRAM-SHA-256 OAUTHBEARER", password(pop3.AnyPassword), "AUTH SCRAM-SHA-256 ***, (response) ***, (response)"},
		"plain, password":   {"PLAIN XOAUTH2", password(pop3.AnyPassword), "AUTH PLAIN ***"},
		"tokens, password":  {"XOAUTH2", password(pop3.AnyPassword), "USER ann, PASS ***"},
		"nothing, password": {"", password(pop3.AnyPassword), "USER ann, PASS ***"},
		"named USER":        {"PLAIN SCRAM-SHA-256", password(pop3.UserPass), "USER ann, PASS ***"},
		"named PLAIN":       {"PLAIN SCRAM-SHA-256", password(pop3.SASLPlain), "AUTH PLAIN ***"},
		"named APOP":        {"PLAIN", password(pop3.APOP), "APOP ann ***"},
		"all, token":        {"XOAUTH2 PLAIN OAUTHBEARER", token(pop3.AnyToken), "AUTH OAUTHBEARER, (response) ***"},
		"old, token":        {"XOAUTH2 PLAIN", token(pop3.AnyToken), "AUTH XOAUTH2, (response) ***"},
		"named, token":      {"XOAUTH2 OAUTHBEARER", token(pop3.XOAuth2), "AUTH XOAUTH2, (response) ***"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured(strings.Fields(c.offers)...)
				r.srv.APOP = true
				r.box.Accepts = func(t string) bool { return t == secret }
				if err := r.enter(c.as); err != nil || r.entered() != c.want {
					t.Errorf("%v; sent %s", err, r.entered())
				}
			})
		})
	}
}

func TestRow15NoSecondMechanism(t *testing.T) {
	for _, m := range []pop3.PasswordMechanism{pop3.AnyPassword, pop3.UserPass, pop3.APOP, pop3.SASLPlain, pop3.ScramSHA256} {
		bubble(t, func(t *testing.T, r *rig) {
			r.secured("PLAIN", "SCRAM-SHA-256")
			r.srv.APOP = true
			err := r.enter(pop3.Password{User: "ann", Password: "another one", Mechanism: m})
			wantError(t, err, pop3.Credentials, nil)
			if r.srv.Sessions() != 1 || r.sent("AUTH")+r.sent("PASS")+r.sent("APOP") != 1 {
				t.Errorf("%v: %s in %d sessions", m, r.entered(), r.srv.Sessions())
			}
		})
	}
}

func TestMechanismThatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		as   pop3.Identity
		kind mail.Kind
	}{
		"PLAIN":     {pop3.Password{User: "ann", Password: secret, Mechanism: pop3.SASLPlain}, mail.Denied},
		"SCRAM":     {pop3.Password{User: "ann", Password: secret, Mechanism: pop3.ScramSHA256}, mail.Denied},
		"APOP":      {pop3.Password{User: "ann", Password: secret, Mechanism: pop3.APOP}, mail.Denied},
		"any token": {pop3.Token{User: "ann", Token: secret}, mail.Denied},
		"XOAUTH2":   {pop3.Token{User: "ann", Token: secret, Mechanism: pop3.XOAuth2}, mail.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured("DIGEST-MD5", "CRAM-MD5")
				err := r.enter(c.as)
				wantError(t, err, pop3.Perm, nil)
				if r.entered() != "" || mail.KindOf(err) != c.kind || mail.HintOf(err) == "" {
					t.Errorf("sent %q; kind %v, hint %q", r.entered(), mail.KindOf(err), mail.HintOf(err))
				}
			})
		})
	}
}

// TestMechanismWithoutCAPA: a server that tells nothing is asked for a named
// mechanism before it is given anything.
func TestMechanismWithoutCAPA(t *testing.T) {
	for _, m := range []pop3.PasswordMechanism{pop3.SASLPlain, pop3.ScramSHA256} {
		bubble(t, func(t *testing.T, r *rig) {
			r.secured(m.String())
			r.hooks(on(map[string]string{"CAPA": "-ERR what?\r\n"}))
			as := pop3.Password{User: "ann", Password: secret, Mechanism: m}
			if err := r.enter(as); err != nil || !strings.HasPrefix(r.entered(), "AUTH "+m.String()+", (response) ***") {
				t.Errorf("%v; sent %s", err, r.entered())
			}
			r.hooks(on(map[string]string{"CAPA": "-ERR what?\r\n", "AUTH": "-ERR [AUTH] what?\r\n"}))
			r.srv.Mechanisms = nil
			wantError(t, r.enter(as), pop3.Credentials, nil) // the code says so
			r.hooks(on(map[string]string{"CAPA": "-ERR what?\r\n", "AUTH": "-ERR what?\r\n"}))
			wantError(t, r.enter(as), pop3.Perm, nil) // it was not given any
		})
	}
}

func TestTokenNeedsTLS(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.srv.Mechanisms = []string{"XOAUTH2", "OAUTHBEARER"}
		r.srv.APOP = true
		wantError(t, r.enter(pop3.Token{User: "ann", Token: secret}), pop3.Perm, nil)
		err := r.enter(pop3.Password{User: "ann", Password: secret, Mechanism: pop3.APOP})
		wantError(t, err, pop3.Perm, nil)
		if r.entered() != "" || mail.HintOf(err) == "" {
			t.Errorf("sent %s, hint %q", r.entered(), mail.HintOf(err))
		}
	})
}

func TestRow25LongTokenInTwoSteps(t *testing.T) {
	for _, m := range []pop3.TokenMechanism{pop3.XOAuth2, pop3.OAuthBearer} {
		for _, n := range []int{1, 200, 3000} {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured(m.String())
				token := strings.Repeat("x", n)
				r.box.Accepts = func(t string) bool { return t == token }
				if err := r.enter(pop3.Token{User: "ann", Token: token}); err != nil || r.entered() != "AUTH "+m.String()+", (response) ***" {
					t.Errorf("%d octets by %v: %v; sent %s", n, m, err, r.entered())
				}
			})
		}
	}
	bubble(t, func(t *testing.T, r *rig) {
		r.secured("XOAUTH2", "PLAIN")
		wantError(t, r.enter(pop3.Token{User: "ann", Token: strings.Repeat("x", 10_000)}), pop3.Perm, nil)
		if r.entered() != "" {
			t.Errorf("sent %s", r.entered())
		}
		long := strings.Repeat("y", 400) // PLAIN, too, where the line would be too long
		r.box.Password = long
		if err := r.enter(pop3.Password{User: "ann", Password: long}); err != nil || r.entered() != "AUTH PLAIN, (response) ***" {
			t.Errorf("%v; sent %s", err, r.entered())
		}
	})
}

func TestRow26And27ErrorChallenge(t *testing.T) {
	for m, answer := range map[pop3.TokenMechanism]string{pop3.XOAuth2: "(response)", pop3.OAuthBearer: "(response) ***"} {
		t.Run(m.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured("XOAUTH2", "OAUTHBEARER", "PLAIN")
				err := r.enter(pop3.Token{User: "ann", Token: secret, Mechanism: m})
				wantError(t, err, pop3.Credentials, nil)
				e, _ := errors.AsType[*pop3.Error](err)
				if e.Challenge != "401" || e.Code != "AUTH" || r.entered() != "AUTH "+m.String()+", (response) ***, "+answer || r.srv.Sessions() != 1 {
					t.Errorf("%+v; sent %s", e, r.entered())
				}
			})
			bubble(t, func(t *testing.T, r *rig) { // no code, though the server promised one: the challenge tells
				r.secured(m.String())
				r.hooks(pop3test.Hooks{OnCommand: script("+ \r\n", "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", "-ERR authentication failed\r\n")})
				err := r.enter(pop3.Token{User: "ann", Token: secret, Mechanism: m})
				wantError(t, err, pop3.Credentials, nil)
			})
			bubble(t, func(t *testing.T, r *rig) { // +OK behind an error
				r.secured(m.String())
				r.hooks(pop3test.Hooks{OnCommand: script("+\r\n", "+ e30=\r\n", "+OK\r\n")})
				wantError(t, r.enter(pop3.Token{User: "ann", Token: secret, Mechanism: m}), pop3.Perm, nil)
			})
		})
	}
}

// script answers AUTH and the lines of the exchange one after the other.
func script(answers ...string) func(pop3test.Command) *pop3test.Action {
	return func(c pop3test.Command) *pop3test.Action {
		if c.Verb != "AUTH" && c.Verb != pop3test.Response || len(answers) == 0 {
			return nil
		}
		a := answers[0]
		answers = answers[1:]
		return &pop3test.Action{Raw: a}
	}
}

func TestBadChallengeIsCanceled(t *testing.T) {
	for name, c := range map[string]struct {
		mechanism string
		answers   []string
		class     pop3.Class
		canceled  bool
	}{
		"not base64":              {"XOAUTH2", []string{"+ go ahead\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"base64 with garbage":     {"PLAIN", []string{"+ AAA\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"the server speaks first": {"XOAUTH2", []string{"+ aGVsbG8=\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"a question in PLAIN":     {"PLAIN", []string{"+ aGVsbG8=\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"SCRAM without a nonce":   {"SCRAM-SHA-256", []string{"+ cj14LHM9QUFBQSxpPTQwOTY=\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"SCRAM forever":           {"SCRAM-SHA-256", []string{"+ cj14LHM9QUFBQSxpPTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ==\r\n", "-ERR\r\n"}, pop3.Perm, true},
		"cancel is answered +OK":  {"XOAUTH2", []string{"+ go ahead\r\n", "+OK\r\n"}, pop3.Protocol, true},
		"cancel is not answered":  {"XOAUTH2", []string{"+ go ahead\r\n", "+ really\r\n"}, pop3.Protocol, true},
		"no end of errors":        {"XOAUTH2", []string{"+ \r\n", "+ e30=\r\n", "+ e30=\r\n", "-ERR\r\n"}, pop3.Protocol, true},
		"+OK at once":             {"XOAUTH2", []string{"+OK\r\n"}, pop3.Protocol, false},
		"no status":               {"XOAUTH2", []string{"+ \r\n", "hello\r\n"}, pop3.Protocol, false},
		"+ERR":                    {"XOAUTH2", []string{"+ \r\n", "+ERR\r\n"}, pop3.Protocol, false},
		"a challenge of 9 KiB":    {"XOAUTH2", []string{"+ " + strings.Repeat("A", 9<<10) + "\r\n"}, pop3.Protocol, false},
		"refused without a word":  {"XOAUTH2", []string{"-ERR\r\n"}, pop3.Perm, false},
		"more behind the line":    {"XOAUTH2", []string{"+ \r\n+ \r\n"}, pop3.Protocol, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured(c.mechanism)
				r.hooks(pop3test.Hooks{OnCommand: script(c.answers...)})
				var as pop3.Identity = pop3.Password{User: "ann", Password: secret}
				if c.mechanism == "XOAUTH2" {
					as = pop3.Token{User: "ann", Token: secret}
				}
				wantError(t, r.enter(as), c.class, nil)
				if got := strings.Contains(r.entered(), "(response) *,") || strings.HasSuffix(r.entered(), "(response) *"); got != c.canceled {
					t.Errorf("sent %s", r.entered())
				}
			})
		})
	}
}

func TestScramServerMustProveItself(t *testing.T) {
	for name, c := range map[string]struct {
		fault     pop3test.ScramFault
		password  string
		class     pop3.Class
		challenge string
	}{
		"fine":           {pop3test.ScramFine, secret, pop3.None, ""},
		"wrong password": {pop3test.ScramFine, "other", pop3.Credentials, ""},
		"tells so":       {pop3test.ScramTells, "other", pop3.Credentials, "invalid-proof"},
		"proves nothing": {pop3test.ScramUnproven, secret, pop3.Perm, ""},
		"forges":         {pop3test.ScramForged, secret, pop3.Perm, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured("SCRAM-SHA-256")
				r.hooks(pop3test.Hooks{Scram: c.fault})
				err := r.enter(pop3.Password{User: "ann", Password: c.password})
				if c.class == pop3.None {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				wantError(t, err, c.class, nil)
				if e, _ := errors.AsType[*pop3.Error](err); e.Challenge != c.challenge || e.Op != "AUTH" {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

func TestRow28OddCredentialsOfSASL(t *testing.T) {
	for name, c := range map[string]pop3.Identity{
		"CR":          pop3.Password{User: "ann", Password: "a\rb", Mechanism: pop3.SASLPlain},
		"NUL":         pop3.Password{User: "ann", Password: "a\x00b", Mechanism: pop3.SASLPlain},
		"NUL in user": pop3.Password{User: "a\x00nn", Password: secret, Mechanism: pop3.SASLPlain},
		"8-bit":       pop3.Password{User: "ann", Password: "p\xe4ssword", Mechanism: pop3.SASLPlain},
		"empty":       pop3.Password{User: "ann", Mechanism: pop3.SASLPlain},
		"prohibited":  pop3.Password{User: "ann", Password: "a\u200eb\u07ff", Mechanism: pop3.ScramSHA256},
		"CTRL-A":      pop3.Token{User: "ann\x01auth=Bearer x", Token: secret},
		"LF in token": pop3.Token{User: "ann", Token: "x\n"},
		"APOP space":  pop3.Password{User: "ann lee", Password: secret, Mechanism: pop3.APOP},
		"APOP CRLF":   pop3.Password{User: "ann\r\nQUIT", Password: secret, Mechanism: pop3.APOP},
		"APOP long":   pop3.Password{User: strings.Repeat("a", 250), Password: secret, Mechanism: pop3.APOP},
		"unknown":     pop3.Password{User: "ann", Password: secret, Mechanism: 9},
		"unknown too": pop3.Token{User: "ann", Token: secret, Mechanism: 9},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured("PLAIN", "SCRAM-SHA-256", "XOAUTH2")
				r.srv.APOP = true
				err := r.enter(c)
				wantError(t, err, pop3.Perm, nil)
				if r.entered() != "" || mail.KindOf(err) != mail.Invalid {
					t.Errorf("sent %s; kind %v", r.entered(), mail.KindOf(err))
				}
			})
		})
	}
	for _, m := range []pop3.PasswordMechanism{pop3.SASLPlain, pop3.ScramSHA256} {
		bubble(t, func(t *testing.T, r *rig) { // UTF-8 is what SASL speaks
			r.secured(m.String())
			r.srv.Mailboxes["änn,=x"] = &pop3test.Mailbox{Password: "pässword"}
			if err := r.enter(pop3.Password{User: "änn,=x", Password: "pässword"}); err != nil {
				t.Errorf("%v: %v", m, err)
			}
		})
	}
}

func TestAuthRespCode(t *testing.T) {
	for _, c := range []struct {
		answer string
		codes  bool
		class  pop3.Class
	}{
		{"-ERR [AUTH] no", true, pop3.Credentials},
		{"-ERR no", false, pop3.Credentials},
		{"-ERR no", true, pop3.Temp}, // R24: a server that would say so does not blame the password
		{"-ERR [SYS/TEMP] no", false, pop3.Temp},
		{"-ERR [SYS/PERM] no", true, pop3.Perm},
		{"-ERR [IN-USE] no", false, pop3.Busy},
		{"-ERR mailbox is locked", false, pop3.Busy},
	} {
		for _, mechanism := range []string{"PLAIN", "APOP"} {
			bubble(t, func(t *testing.T, r *rig) {
				r.secured(mechanism)
				r.srv.Caps = []string{"STLS", "SASL PLAIN"}
				if c.codes {
					r.srv.Caps = append(r.srv.Caps, "AUTH-RESP-CODE")
				}
				r.srv.APOP = true
				as := pop3.Password{User: "ann", Password: secret}
				if mechanism == "APOP" {
					as.Mechanism = pop3.APOP
				}
				r.hooks(on(map[string]string{"AUTH": c.answer + "\r\n", "APOP": c.answer + "\r\n"}))
				err := r.enter(as)
				if pop3.ClassOf(err) != c.class {
					t.Errorf("%s to %s, codes %v: %v (%v)", c.answer, mechanism, c.codes, pop3.ClassOf(err), err)
				}
			})
		}
	}
}

func TestIdentityPrintsNothing(t *testing.T) {
	for _, v := range []any{
		pop3.Password{User: "ann", Password: secret}, pop3.Token{User: "ann", Token: secret},
		&pop3.Password{User: "ann", Password: secret}, []pop3.Identity{pop3.Token{User: "ann", Token: secret}},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		for _, s := range []string{fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s %x %d %q", v, v, v, v, v, v, v), string(b)} {
			if strings.Contains(s, secret) || strings.Contains(s, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T prints %s", v, s)
			}
		}
	}
}
