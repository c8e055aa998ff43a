package pop3

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestTimestamp(t *testing.T) {
	for greeting, want := range map[string]string{
		"POP3 server ready <1896.697170952@dbc.mtview.ca.us>": "<1896.697170952@dbc.mtview.ca.us>",
		"<5.1.63a1b2c3.q+/w==@mail> Dovecot ready.":           "<5.1.63a1b2c3.q+/w==@mail>",
		"hello <world> <1@[192.0.2.1]> bye":                   "<1@[192.0.2.1]>",
		"<a@b":                                                "",
		"none":                                                "",
		"<>":                                                  "",
		"<@host>":                                             "",
		"<a@>":                                                "",
		"<a b@host>":                                          "",
		"<a..b@host>":                                         "",
		"<a@host@host>":                                       "",
		"<a\x80@host>":                                        "",
		"<<a@host>":                                           "<a@host>",
		"<a@[]>":                                              "",
	} {
		if got := timestampOf(greeting); got != want {
			t.Errorf("%q: %q, want %q", greeting, got, want)
		}
	}
}

func TestIterations(t *testing.T) {
	for text, want := range map[string]int{
		"r=x,s=AAAA,i=4096": 4096, "r=x,s=AAAA": 0, "": 0, "i=-1": -1, "r=x,s=y,i=99999999999999999999999": maxIterations + 1, "i=x": 0,
	} {
		if got := iterations(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// FuzzReply gives a server's lines in an exchange to the parser and to each
// mechanism: nothing panics, what counts as a status is one, no answer is longer
// than the line allows, and no challenge makes SCRAM believe the server.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"+ ", "+", "+OK", "-ERR [AUTH] no", "+ e30=", "+ eyJzdGF0dXMiOiI0MDEifQ==", "+ !!!!", "+ cj14LHM9QUFBQSxpPTQwOTY=",
		"+ dj1BQUFB", "+ ZT1pbnZhbGlkLXByb29m", "+ERR", "+ A", "+  ", "+\x00", "",
	} {
		f.Add([]byte(s), []byte(s))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		mechanisms := []mechanism{plain{"ann", "x"}, newXOAuth2(Token{User: "ann", Token: "x"}), newOAuthBearer(Token{User: "ann", Token: "x"}, "h:1")}
		sc, err := newScram("ann", "pencil")
		if err != nil {
			t.Fatal(err)
		}
		mechanisms = append(mechanisms, sc)
		for _, line := range [][]byte{first, second} {
			r, ok := parseReply(line)
			if ok && !r.more && !strings.HasPrefix(string(line), "+OK") && !strings.HasPrefix(string(line), "-ERR") {
				t.Errorf("%q is a status", line)
			}
			if !ok || !r.more {
				continue
			}
			challenge, err := decodeChallenge(r.text)
			if err != nil || iterations(string(challenge)) > 5000 {
				continue
			}
			if base64.StdEncoding.EncodeToString(challenge) != r.text {
				t.Errorf("%q decodes and does not encode to itself", r.text)
			}
			for _, m := range mechanisms {
				if answer, err := m.next(challenge); err == nil && len(answer) > len(challenge)+200 {
					t.Errorf("%T answers with %d octets", m, len(answer))
				}
			}
		}
		if sc.end() == nil {
			t.Errorf("%q and %q prove the password", first, second)
		}
	})
}

// FuzzTimestamp: what is taken for an APOP challenge is a msg-id of the greeting.
func FuzzTimestamp(f *testing.F) {
	f.Add("ready <1.2@host>")
	f.Add("<a@<b@c>>")
	f.Fuzz(func(t *testing.T, greeting string) {
		got := timestampOf(greeting)
		if got == "" {
			return
		}
		if !strings.Contains(greeting, got) || strings.ContainsAny(got[1:len(got)-1], "<> \r\n\x00") || !isASCII(got) || strings.Count(got, "@") != 1 {
			t.Errorf("%q of %q", got, greeting)
		}
	})
}
