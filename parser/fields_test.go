package parser_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

func TestDates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Tue, 24 Nov 2026 09:15:00 +0100":              "2026-11-24T09:15:00+01:00",
		"24 Nov 2026 09:15 -0330":                      "2026-11-24T09:15:00-03:30",
		"Tue, 24 Nov 26 09:15:00 GMT":                  "2026-11-24T09:15:00Z",
		"Tue, 24 Nov 98 09:15:00 EST":                  "1998-11-24T09:15:00-05:00",
		"Tue, 24 Nov 2026 09:15:00 +0100 (MEZ)":        "2026-11-24T09:15:00+01:00",
		"Tue, 24 Nov 2026 09:15:00 A":                  "2026-11-24T09:15:00Z",
		"Tue, 24 Nov 102 09:15:00 +0000":               "lenient 2002-11-24T09:15:00Z",
		"Tuesday, 24 November 2026 09:15:00 +0000":     "lenient 2026-11-24T09:15:00Z",
		"Tue Nov 24 09:15:00 2026":                     "lenient 2026-11-24T09:15:00Z",
		"Tue Nov 24 09:15:00 CET 2026":                 "2026-11-24T09:15:00+01:00",
		"2026-11-24T09:15:00Z":                         "lenient 2026-11-24T09:15:00Z",
		"2026-11-24T09:15:00.123+01:00":                "lenient 2026-11-24T09:15:00+01:00",
		"2026-11-24 09:15:00 +0100":                    "lenient 2026-11-24T09:15:00+01:00",
		"2026-11-24":                                   "lenient 2026-11-24T00:00:00Z",
		"20261124 09:15":                               "lenient 2026-11-24T09:15:00Z",
		"Di, 24 Dez 2026 09:15:00 +0100":               "lenient 2026-12-24T09:15:00+01:00",
		"1. März 2024 09:15 +0100":                     "lenient 2024-03-01T09:15:00+01:00",
		"24-Nov-2026 09:15:00 +0000":                   "lenient 2026-11-24T09:15:00Z",
		"24.11.2026 09:15":                             "lenient 2026-11-24T09:15:00Z",
		"11/24/2026 09:15":                             "lenient 2026-11-24T09:15:00Z",
		"24/11/2026 09:15":                             "lenient 2026-11-24T09:15:00Z",
		"24 Nov 2026 09.15.00 +0000":                   "lenient 2026-11-24T09:15:00Z",
		"24 Nov 2026 00.00.00 +0000":                   "lenient 2026-11-24T00:00:00Z",
		"24 Nov 2026 24:00:00 +0000":                   "lenient 2026-11-25T00:00:00Z",
		"24 Nov 2026 09:15:00 GMT+0100":                "lenient 2026-11-24T09:15:00+01:00",
		"24 Nov 2026 09:15:00 +01:00":                  "lenient 2026-11-24T09:15:00+01:00",
		"24 Nov 2026 9:15 PM +0000":                    "lenient 2026-11-24T21:15:00Z",
		"24 Nov 2026 12:15 AM":                         "lenient 2026-11-24T00:15:00Z",
		"24 Nov 2026 09:15:00":                         "lenient 2026-11-24T09:15:00Z",
		"24 Nov 2026 09:15:00 (EST)":                   "lenient 2026-11-24T09:15:00-05:00",
		"24 Nov 2026 09:15:00 XXX":                     "lenient 2026-11-24T09:15:00Z",
		"24 Nov 2026 09:15:00 +9900":                   "lenient 2026-11-24T09:15:00Z",
		"Nov 24, 2026 09:15:00 +0000":                  "2026-11-24T09:15:00Z",
		"24 Nov 2026 23:59:60 +0000":                   "2026-11-25T00:00:00Z",
		"24th Nov 2026 09:15:00 +0000":                 "lenient 2026-11-24T09:15:00Z",
		"31 Feb 2026 09:15:00 +0000":                   "bad",
		"24 Nov 20266 09:15:00 +0000":                  "bad",
		"24 Nov 2026 25:15:00 +0000":                   "bad",
		"24 Nov 2026 09:99:00 +0000":                   "bad",
		"0 Nov 2026":                                   "bad",
		"":                                             "bad",
		"now":                                          "bad",
		"-":                                            "bad",
		"31 Dec 9999 23:00:00 -0500":                   "9999-12-31T23:00:00-05:00",
		"1 Jan 10000 00:00:00 +0000":                   "bad",
		strings.Repeat("x ", 400) + " 24 Nov 2026":     "bad",
		"Tue, 24 Nov 2026 09:15:00 +0100 (a (nested))": "2026-11-24T09:15:00+01:00",
	} {
		d, lenient, ok := parser.ParseDate(in)
		got := "bad"
		if ok {
			got = d.Format(time.RFC3339)
			if lenient {
				got = "lenient " + got
			}
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestEffectiveDate(t *testing.T) {
	t.Parallel()
	fetched := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return fetched.Add(d).In(time.FixedZone("", 3600)) }
	for name, tc := range map[string]struct {
		header, received time.Time
		want             time.Time
		source           string
	}{
		"header":                 {at(-2 * time.Hour), at(-time.Hour), at(-2 * time.Hour), "header"},
		"header alone":           {at(-2 * time.Hour), time.Time{}, at(-2 * time.Hour), "header"},
		"none":                   {time.Time{}, time.Time{}, fetched, "fetched"},
		"received":               {time.Time{}, at(-time.Hour), at(-time.Hour), "received"},
		"header in the future":   {at(48 * time.Hour), at(-time.Hour), at(-time.Hour), "received"},
		"header a bit ahead":     {at(20 * time.Hour), at(-time.Hour), at(20 * time.Hour), "header"},
		"header after received":  {at(-time.Hour), at(-72 * time.Hour), at(-72 * time.Hour), "received"},
		"header before 1980":     {time.Unix(0, 0), at(-time.Hour), at(-time.Hour), "received"},
		"both in the future":     {at(48 * time.Hour), at(48 * time.Hour), fetched, "fetched"},
		"received in the future": {at(-time.Hour), at(9999 * time.Hour), at(-time.Hour), "header"},
		"received before 1980":   {at(-time.Hour), time.Unix(0, 0), at(-time.Hour), "header"},
	} {
		got, source := parser.EffectiveDate(&mail.Message{DateHeader: tc.header, DateReceived: tc.received}, fetched)
		if !got.Equal(tc.want) || source != tc.source || got.Location() != time.UTC {
			t.Errorf("%s: %v from %s, want %v from %s", name, got, source, tc.want, tc.source)
		}
	}
}

func TestDateReceivedIsTheTopmost(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text(
		"Received: from a by b; with a semicolon;", " Tue, 24 Nov 2026 09:15:02 +0000 (UTC)",
		"Received: from c by d; Mon, 23 Nov 2026 09:15:02 +0000",
		"Date: Wed, 30 Dec 2026 00:00:00 +0000", "", "x"))
	if want := time.Date(2026, 11, 24, 9, 15, 2, 0, time.UTC); !m.DateReceived.Equal(want) {
		t.Errorf("received %v", m.DateReceived)
	}
	wantDefects(t, m, "DATE_IMPLAUSIBLE")
	if m := parser.Parse(text("Received: from a by b", "", "x")); !m.DateReceived.IsZero() {
		t.Errorf("received %v from nothing", m.DateReceived)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`ann@example.org`: "|ann@example.org",
		`Ann Example <Ann@Example.ORG.>, bob@example.org`:      "Ann Example|ann@example.org;|bob@example.org",
		`"Doe, Jane" <jane@example.org>`:                       "Doe, Jane|jane@example.org",
		`Doe, Jane <jane@example.org>`:                         "Doe, Jane|jane@example.org",
		`Account team ,_<x@example.org>`:                       "Account team, _|x@example.org",
		`foo@bar.com <ann@example.org>`:                        "foo@bar.com|ann@example.org",
		`"Parcels" <noreply@example.org`:                       "Parcels|noreply@example.org",
		`ann@example.org (Ann Example)`:                        "Ann Example|ann@example.org",
		`Friends: ann@example.org, bob@example.org;`:           "|ann@example.org;|bob@example.org",
		`undisclosed-recipients:;`:                             "undisclosed-recipients|",
		`=?utf-8?Q?J=C3?= =?utf-8?Q?=BCrgen?= <j@example.org>`: "Jürgen|j@example.org",
		`"=?utf-8?Q?J=C3=BCrgen?=" <j@example.org>`:            "Jürgen|j@example.org",
		`=?utf-8?Q?Doe,_Jane?= <jane@example.org>, b@c.org`:    "Doe, Jane|jane@example.org;|b@c.org",
		`Ann <ann@bücher.example>`:                             "Ann|ann@xn--bcher-kva.example",
		`ann@[192.0.2.1]`:                                      "|ann@[192.0.2.1]",
		`<@relay.example,@b.example:ann@example.org>`:          "|ann@example.org",
		`mailto:ann@example.org`:                               "mailto|;|ann@example.org",
		`ann@example.org; bob@example.org`:                     "|ann@example.org;|bob@example.org",
		`ann@example.org, broken, bob@example.org`:             "|ann@example.org;broken|;|bob@example.org",
		`<ann@example.org> <bob@example.org>`:                  "|ann@example.org;|bob@example.org",
		`/O=CORP/OU=SITE/CN=JDOE`:                              "/O=CORP/OU=SITE/CN=JDOE|",
		`host!user`:                                            "host!user|",
		`Ann`:                                                  "Ann|",
		`<>`:                                                   "|",
		`ann @ example . org`:                                  "|ann@example.org",
		`O'Neil, "The <b>" <o@example.org>`:                    "O'Neil, The <b|o@example.org",
	} {
		list, _ := parser.ReadAddresses(in)
		var got []string
		for _, a := range list {
			got = append(got, a.Name+"|"+a.Addr)
		}
		if s := strings.Join(got, ";"); s != want {
			t.Errorf("%s:\n got %s\nwant %s", in, s, want)
		}
	}
}

// TestRawIsKeptOfWhatWasGuessed lets a reader see what the guess was made of.
func TestRawIsKeptOfWhatWasGuessed(t *testing.T) {
	t.Parallel()
	list, bad := parser.ReadAddresses(`Doe, Jane <jane@example.org>`)
	want := []mail.Address{{Name: "Doe, Jane", Addr: "jane@example.org", Raw: "Doe, Jane <jane@example.org>"}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if len(bad) != 1 || bad[0].Code != "ADDR_LENIENT" {
		t.Errorf("defects %v", bad)
	}
	if list, bad = parser.ReadAddresses(`Jane <jane@example.org>`); list[0].Raw != "" || len(bad) != 0 {
		t.Errorf("a strict address has raw %q, defects %v", list[0].Raw, bad)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                               "plain",
		"=?utf-8?Q?J=C3=B6rg?=":               "Jörg",
		"=?UTF-8?b?SsO2cmc=?=":                "Jörg",
		"=?utf-8?B?SsO2cmc?=":                 "bad Jörg",
		"=?utf-8*de?Q?J=C3=B6rg?=":            "Jörg",
		"a =?utf-8?Q?b?= c":                   "a b c",
		"=?utf-8?Q?a?= =?utf-8?Q?b?=":         "ab",
		"=?utf-8?Q?a?= =?iso-8859-1?Q?=E9?=":  "aé",
		"=?utf-8?Q?J=C3?= =?utf-8?Q?=B6rg?=":  "Jörg",
		"=?utf-8?B?w7Y?=\t=?utf-8?B?w7Y=?=":   "bad öö",
		"x=?utf-8?Q?=C3=B6?=y":                "xöy",
		"=?utf-8?Q?two words?=":               "two words",
		"=?utf-8?Q??=":                        "",
		"=?utf-8?Q?=3D?=":                     "=",
		"=?utf-8?Q?a=ZZ?=":                    "bad a=ZZ",
		"=?utf-8?Q?unfinished":                "bad =?utf-8?Q?unfinished",
		"=?utf-8?Q?unfinished =?utf-8?Q?ok?=": "bad =?utf-8?Q?unfinished ok",
		"=?utf-8?X?a?=":                       "bad =?utf-8?X?a?=",
		"=?x-klingon?Q?caf=C3=A9?=":           "bad café",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":  "日本",
		"=?shift_jis?B?k/qWew==?=":            "日本",
		"=?utf-8?Q?a=0D=0Ab?=":                "inject a\r\nb",
		"=?utf-8?Q?a?b?=":                     "a?b",
		"=?":                                  "bad =?",
		"=?=?=?":                              "bad =?=?=?",
	} {
		text, bad, inject := parser.ReadWords(in)
		got := text
		switch {
		case bad:
			got = "bad " + text
		case inject:
			got = "inject " + text
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, name, head, want string }{
		{`text/plain; charset=utf-8`, "charset", "text/plain", "utf-8"},
		{`TEXT/Plain ;charset = "UTF-8" ; format=flowed`, "format", "text/plain", "flowed"},
		{`text/plain charset=utf-8`, "charset", "text/plain", "utf-8"},
		{`text/plain; charset=utf-8 format=flowed`, "format", "text/plain", "flowed"},
		{`text/plain (a comment); charset=utf-8 (Unicode)`, "charset", "text/plain", "utf-8"},
		{`multipart/mixed; boundary="a;b=c"`, "boundary", "multipart/mixed", "a;b=c"},
		{`multipart/mixed; boundary="open`, "boundary", "multipart/mixed", "open"},
		{`multipart/mixed;; ;boundary=x`, "boundary", "multipart/mixed", "x"},
		{`multipart/mixed; boundary=x; boundary=y`, "boundary", "multipart/mixed", "x"},
		{`multipart/mixed; nonsense; boundary=x`, "boundary", "multipart/mixed", "x"},
		{`attachment; filename="C:\docs\a.txt"`, "filename", "attachment", `C:\docs\a.txt`},
		{`attachment; filename="a \"b\".txt"`, "filename", "attachment", `a "b".txt`},
		{`attachment; filename=a b.txt; size=3`, "filename", "attachment", "a b.txt"},
		{`attachment; filename*=utf-8''%e2%82%ac; filename=euro`, "filename", "attachment", "€"},
		{`attachment; filename=euro; filename*=utf-8''%e2%82%ac`, "filename", "attachment", "€"},
		{`attachment; filename*0*=utf-8''a%20; filename*1="b%20"`, "filename", "attachment", "a b%20"},
		{``, "x", "", ""},
	} {
		head, got, _ := parser.Param(tc.in, tc.name)
		if head != tc.head || got != tc.want {
			t.Errorf("%s: %q %q, want %q %q", tc.in, head, got, tc.head, tc.want)
		}
	}
}

func TestBadParamsAreTold(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a; n*0=x; n*2=y", "a; n*=utf-8''%zz", "a; n*=nothing", "a; n*=utf-8''%ff", "a; n*=x-klingon''x"} {
		if _, _, bad := parser.Param(in, "n"); len(bad) == 0 || bad[0].Code != "HDR_BAD_2231" {
			t.Errorf("%s: %v", in, bad)
		}
	}
}

func TestMessageIDs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<a@b>":                     "[a@b] true",
		" <a@b> <c@d>":              "[a@b c@d] true",
		"<a@b> (comment <x@y>)":     "[a@b] true",
		"(c (nested) c) <a@b>":      "[a@b] true",
		"<a @ b>":                   "[a@b] true",
		"<A@b>":                     "[A@b] true",
		"a@b":                       "[a@b] false",
		"<no-at>":                   "[no-at] false",
		"<a@b":                      "[a@b] false",
		"<a(b@c>":                   "[a(b@c] true",
		"<<a@b>>":                   "[a@b] true",
		"Your message of <a@b> now": "[a@b] true",
		"<>":                        "[] false",
		"":                          "[] false",
	} {
		ids, ok := parser.ReadIDs(in)
		if got := fmt.Sprint(ids, ok); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text("References: <a@x> <b@x>", " <a@x>", "In-Reply-To: <c@x>", "Message-ID: <d@x>", "", ""))
	if got := strings.Join(m.References, " "); got != "a@x b@x c@x" || m.MessageID != "d@x" {
		t.Errorf("references %s, id %s", got, m.MessageID)
	}
	var sb strings.Builder
	for i := range 500 {
		fmt.Fprintf(&sb, " <%d@x>", i)
	}
	m = parser.Parse([]byte("References:" + sb.String() + "\n\n"))
	if n := len(m.References); n != 200 || m.References[9] != "9@x" || m.References[10] != "310@x" || m.References[199] != "499@x" {
		t.Errorf("%d references, %v", n, m.References[8:12])
	}
}

func TestSingletonsThatRepeat(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text("Subject: one", "Subject: two", "From: a@example.org", "From: b@example.org", "To: c@example.org", "To: d@example.org", "", ""))
	if m.Subject != "one" || len(m.From) != 2 || len(m.To) != 2 {
		t.Errorf("subject %q, from %v, to %v", m.Subject, m.From, m.To)
	}
	for _, d := range m.Defects {
		if d.Code == "HDR_DUP_SINGLETON" && d.Count != 3 {
			t.Errorf("count %d", d.Count)
		}
	}
	wantDefects(t, m, "HDR_DUP_SINGLETON")
}

func TestFileNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a.txt":                           "a.txt",
		"../../etc/passwd":                "passwd",
		`..\..\windows\system.ini`:        "system.ini",
		`C:\Users\x\report.doc`:           "report.doc",
		"invoice\u202efdp.exe":            "invoicefdp.exe",
		"a\u200b\u2066b\r\n\x00.txt":      "ab .txt",
		"..":                              "",
		".":                               "",
		"/":                               "",
		"dots. . .":                       "dots",
		".profile":                        ".profile",
		"e\u0301.txt":                     "é.txt",
		strings.Repeat("é", 300) + ".pdf": strings.Repeat("é", 98) + ".pdf",
		strings.Repeat("a", 300):          strings.Repeat("a", 200),
		"":                                "",
	} {
		if got := parser.FileName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Each case is one in which this parser once stood alone against GMime and
// Python (docs/parser-compare.md).
func TestAddressesAsOthersReadThem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`Bob <bob@a.example> Bobby Dunite <bobby@b.example>`:        "Bob|bob@a.example;Bobby Dunite|bobby@b.example",
		`<ann@example.org> Ann`:                                     "|ann@example.org",
		`"x@example.org" <postmaster>`:                              "x@example.org <postmaster|",
		`Pete <pete(his account)@silly.test(his host)>`:             "Pete|pete@silly.test",
		`Chris <c@(Chris's host.)public.example>, broken`:           "Chris|c@public.example;broken|",
		`Mary <@machine.tld:mary@example.net>, , jdoe@test   . org`: "Mary|mary@example.net;|jdoe@test.org",
	} {
		list, _ := parser.ReadAddresses(in)
		var got []string
		for _, a := range list {
			got = append(got, a.Name+"|"+a.Addr)
		}
		if s := strings.Join(got, ";"); s != want {
			t.Errorf("%s:\n got %s\nwant %s", in, s, want)
		}
	}
	if d, _, ok := parser.ParseDate("Tue, 029 Apr 2019 23:34:45 -0800"); !ok || d.Day() != 29 {
		t.Errorf("a day of three digits: %v", d)
	}
}

func TestDoubledBoundariesAreOne(t *testing.T) {
	t.Parallel()
	m := parser.Parse([]byte("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\none\n--b\n--b\n--b\n\ntwo\n--b\n\n--b--\n"))
	if len(m.Parts) != 4 || m.Text != "one\n\ntwo" {
		t.Errorf("%d parts, text %q", len(m.Parts), m.Text)
	}
}

// Sentences in In-Reply-To hold addresses, which are no ids.
func TestReferencesWithoutBrackets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"In-Reply-To: Message from ann@example.org of \"Tue, 24 Nov\"": "",
		"In-Reply-To: Your message of Tue <a@x>":                       "a@x",
		"In-Reply-To: a@x":                                             "a@x",
		"References: a@x b@x nonsense":                                 "a@x b@x",
		"References: <no-at> <a@x>":                                    "no-at a@x",
	} {
		if got := strings.Join(parser.Parse([]byte(in+"\n\n")).References, " "); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
