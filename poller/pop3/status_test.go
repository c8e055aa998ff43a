package pop3

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestParseStatus(t *testing.T) {
	for line, want := range map[string]status{
		"+OK":                                    {ok: true},
		"+OK ":                                   {ok: true},
		"+OK 2 320":                              {ok: true, text: "2 320"},
		"+OK [AUTH] no code here":                {ok: true, text: "[AUTH] no code here"},
		"-ERR":                                   {err: true},
		"-ERR no":                                {err: true, text: "no"},
		"-ERR [IN-USE] wait":                     {err: true, code: "IN-USE", text: "wait"},
		"-ERR [sys/temp]":                        {err: true, code: "SYS/TEMP"},
		"-ERR [SYS/PERM/DISK]x":                  {err: true, code: "SYS/PERM/DISK", text: "x"},
		"-ERR [two words] x":                     {err: true, text: "[two words] x"},
		"-ERR [] x":                              {err: true, text: "[] x"},
		"-ERR [open":                             {err: true, text: "[open"},
		"-ERR  [AUTH] not directly":              {err: true, text: " [AUTH] not directly"},
		"-ERR [" + strings.Repeat("x", 65) + "]": {err: true, text: "[" + strings.Repeat("x", 65) + "]"},
	} {
		if got, ok := parseStatus([]byte(line)); !ok || got != want {
			t.Errorf("parseStatus(%q) = %+v, %t, want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "+", "+ ", "+ok", "+OKAY", "+OK\tx", "+ERR x", "-ERROR", "-err", "ERR", " +OK", "220 smtp", "* OK", "."} {
		if got, ok := parseStatus([]byte(line)); ok {
			t.Errorf("parseStatus(%q) = %+v", line, got)
		}
	}
}

func TestClassOf(t *testing.T) {
	for line, want := range map[string]Class{
		"-ERR":                       Credentials,
		"-ERR authentication failed": Credentials,
		"-ERR [AUTH] mailbox locked": Credentials,
		"-ERR [IN-USE]":              Busy,
		"-ERR [IN-USE/FOREVER]":      Busy,
		"-ERR [LOGIN-DELAY] in use":  Rate,
		"-ERR [SYS/TEMP]":            Temp,
		"-ERR [SYS]":                 Temp,
		"-ERR [SYS/OTHER]":           Temp,
		"-ERR [SYS/PERM]":            Perm,
		"-ERR [SYS/PERM/QUOTA]":      Perm,
		"-ERR [X-UNKNOWN] mailbox locked by POP server": Busy,
		"-ERR mailbox locked by POP server":             Busy,
		"-ERR maildrop already in use":                  Busy,
		"-ERR account is locked":                        Credentials,
		"-ERR you are locked out":                       Credentials,
		"-ERR Too many logins":                          Rate,
		"-ERR try again later":                          Temp,
	} {
		st, _ := parseStatus([]byte(line))
		if got := classOf(st, Credentials); got != want {
			t.Errorf("%q at PASS: %v, want %v", line, got, want)
		}
	}
	for line, want := range map[string]Class{
		"-ERR no such message":      Message,
		"-ERR message is locked":    Message,
		"-ERR Download Exceed":      Rate,
		"-ERR [SYS/TEMP] disk":      Temp,
		"-ERR [UTF8] needs UTF8":    Message,
		"-ERR message expunged":     Message,
		"-ERR POP download quota":   Rate,
		"-ERR temporarily very odd": Message,
	} {
		st, _ := parseStatus([]byte(line))
		if got := classOf(st, Message); got != want {
			t.Errorf("%q at RETR: %v, want %v", line, got, want)
		}
	}
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                              "plain",
		"a\x1b[31mred\x07":                   "a [31mred",
		"bad \xff octet":                     "bad ? octet",
		"turn\u202eround":                    "turn round",
		strings.Repeat("a", 300):             strings.Repeat("a", maxText),
		strings.Repeat("a", maxText-1) + "é": strings.Repeat("a", maxText-1),
		strings.Repeat("é", maxText):         strings.Repeat("é", maxText/2),
	} {
		if got := cleanText(in); got != want {
			t.Errorf("cleanText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	c := Capabilities{Expire: ExpireNever}
	for _, line := range []string{"top", "UIDL", "USER", "STLS", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8 USER",
		"SASL PLAIN XOAUTH2", "IMPLEMENTATION Some Server 1.0", "LOGIN-DELAY 900 USER", "EXPIRE 0 USER", "X-UNKNOWN", "", "  "} {
		c.add(line)
	}
	if !c.Top || !c.Uidl || !c.User || !c.Stls || !c.Pipelining || !c.RespCodes || !c.AuthRespCode || !c.UTF8 || !c.UTF8User ||
		len(c.Sasl) != 2 || c.Implementation != "Some Server 1.0" || c.LoginDelay != 15*time.Minute || !c.LoginDelayUser || c.Expire != 0 || !c.ExpireUser {
		t.Errorf("%+v", c)
	}
	for line, want := range map[string]int{"EXPIRE NEVER": ExpireNever, "EXPIRE": ExpireNever, "EXPIRE 30": 30, "EXPIRE 99999999999999999999": maxExpire, "EXPIRE -3": ExpireNever} {
		c := Capabilities{Expire: ExpireNever}
		if c.add(line); c.Expire != want {
			t.Errorf("%q: %d, want %d", line, c.Expire, want)
		}
	}
	c = Capabilities{}
	if c.add("LOGIN-DELAY 99999999999999999999"); c.LoginDelay < 0 || c.LoginDelay > 8*24*time.Hour {
		t.Errorf("absurd delay: %v", c.LoginDelay)
	}
}

func FuzzStatus(f *testing.F) {
	for _, s := range []string{"+OK", "-ERR [IN-USE] x", "+OK 12 octets", "-ERR [", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		st, ok := parseStatus(line)
		if ok != (st.ok || st.err) || st.ok && st.err {
			t.Fatalf("%q: %+v, %t", line, st, ok)
		}
		if ok && !bytes.HasPrefix(line, []byte("+OK")) && !bytes.HasPrefix(line, []byte("-ERR")) {
			t.Fatalf("%q is taken for a status", line)
		}
		if st.announced() < -1 {
			t.Fatalf("%q announces %d", line, st.announced())
		}
		clean := cleanText(st.text)
		if len(clean) > maxText+1 || !utf8.ValidString(clean) || strings.ContainsFunc(clean, unicode.IsControl) {
			t.Fatalf("%q is cleaned to %q", st.text, clean)
		}
		classOf(st, Message)
	})
}

func FuzzCapa(f *testing.F) {
	for _, s := range []string{"UIDL", "EXPIRE 0 USER", "LOGIN-DELAY 3", "SASL A B", "UTF8 USER"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c := Capabilities{Expire: ExpireNever}
		c.add(line)
		if c.Expire < ExpireNever || c.LoginDelay < 0 {
			t.Fatalf("%q: %+v", line, c)
		}
	})
}

func FuzzRow(f *testing.F) {
	for _, s := range []string{"1 120", "1  uid", "2 -1", "x 1", "99999999999999999999 1", " 3 a b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		n, rest, ok := parseRow(line)
		if ok && n < 1 {
			t.Fatalf("%q: number %d", line, n)
		}
		if size := parseSize(string(rest)); size < -1 {
			t.Fatalf("%q: size %d", line, size)
		}
		if id := opaque(rest); id != "" && id != string(rest) {
			t.Fatalf("%q: unique-id %q was altered", rest, id)
		}
	})
}
