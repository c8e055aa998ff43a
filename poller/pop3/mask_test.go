package pop3_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"crypto/tls"

	"github.com/mailkeep/mailkeep/poller/pop3"
)

// echo is a server that repeats, in a refusal, every line it was sent: as it is,
// and decoded. seen collects the lines that hold a secret.
func echo(conf *tls.Config, caps string, challenges int, seen *[]string) func(net.Conn) {
	return func(raw net.Conn) {
		c := tls.Server(raw, conf)
		defer c.Close()
		io.WriteString(c, "+OK ready <1.2@pop.example.org>\r\n")
		in := bufio.NewReader(c)
		for auth := false; ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimSpace(line)
			switch verb, arg, _ := strings.Cut(line, " "); {
			case verb == "CAPA":
				io.WriteString(c, "+OK\r\n"+caps+"\r\n.\r\n")
				continue
			case verb == "USER":
				io.WriteString(c, "+OK\r\n")
				continue
			case verb == "AUTH" && arg != "" && !strings.Contains(arg, " "):
				auth = true
			case verb == "PASS" || verb == "APOP" || verb == "AUTH":
				line = arg[strings.LastIndexByte(arg, ' ')+1:]
				*seen = append(*seen, line)
			case line != "":
				*seen = append(*seen, line)
			}
			if auth && challenges > 0 {
				challenges--
				io.WriteString(c, "+ \r\n")
				continue
			}
			decoded, _ := base64.StdEncoding.DecodeString(line)
			fmt.Fprintf(c, "-ERR I do not like %s nor %q\r\n", line, decoded)
		}
	}
}

// TestRow29SecretsOfLogins: whatever a login puts on the wire, and whatever a
// server repeats of it, stays out of errors and of the log at every level.
func TestRow29SecretsOfLogins(t *testing.T) {
	a := newAuthority(t)
	token := "ya29." + strings.Repeat("Zm9vYmFyIGJheg", 20)
	for name, c := range map[string]struct {
		caps string
		as   pop3.Identity
	}{
		"USER":        {"UIDL", pop3.Password{User: "ann", Password: secret}},
		"APOP":        {"UIDL", pop3.Password{User: "ann", Password: secret, Mechanism: pop3.APOP}},
		"PLAIN":       {"SASL PLAIN", pop3.Password{User: "ann", Password: secret}},
		"long PLAIN":  {"SASL PLAIN", pop3.Password{User: "ann", Password: secret + strings.Repeat("-", 300)}},
		"SCRAM":       {"SASL SCRAM-SHA-256", pop3.Password{User: "ann", Password: secret}},
		"XOAUTH2":     {"SASL XOAUTH2", pop3.Token{User: "ann", Token: token}},
		"OAUTHBEARER": {"SASL OAUTHBEARER", pop3.Token{User: "ann", Token: token}},
	} {
		for _, challenges := range []int{1, 2} {
			t.Run(fmt.Sprint(name, challenges), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *rig) {
					var logs bytes.Buffer
					var seen []string
					r.d.Logger = slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug - 8}))
					r.d.Security, r.d.TLS = pop3.TLS, a.client()
					r.script(echo(a.server("pop.example.org", later), c.caps, challenges, &seen))
					err := r.enter(c.as)
					if err == nil || len(seen) == 0 {
						t.Fatalf("%v, sent %q", err, seen)
					}
					said := err.Error() + logs.String()
					for _, s := range append(seen, secret, token) {
						if len(s) > 8 && strings.Contains(said, s[:8]) || strings.Contains(said, secret[:5]) {
							t.Errorf("told %q: %s", s, said)
						}
					}
				})
			})
		}
	}
}

// TestRow29PartOfAToken: a server that repeats the middle of a long secret.
func TestRow29PartOfAToken(t *testing.T) {
	token := "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.payload-of-some-length.signature"
	bubble(t, func(t *testing.T, r *rig) {
		r.secured("XOAUTH2")
		r.hooks(on(map[string]string{"AUTH": "-ERR bad token ..." + strings.ToUpper(token[20:34]) + "...\r\n"}))
		err := r.enter(pop3.Token{User: "ann", Token: token})
		if err == nil || strings.Contains(strings.ToLower(err.Error()), strings.ToLower(token[20:32])) || !strings.Contains(err.Error(), "withheld") {
			t.Errorf("%v", err)
		}
	})
}
