package parser_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/parser"
)

func TestSubjectBase(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                      "",
		"Report":                                "report",
		"Re: Report":                            "report",
		"RE:Report":                             "report",
		"Re : Report":                           "report",
		"Re: Re: AW: Fwd: Report":               "report",
		"Re[2]: Report":                         "report",
		"Re(3): Report":                         "report",
		"Re^2: Report":                          "report",
		"Re2: Report":                           "report",
		"Re: [list] Report":                     "report",
		"[list] Re: [list] Report":              "report",
		"[a] [b] Report":                        "report",
		"[list]":                                "[list]",
		"[list] [other]":                        "[other]",
		"Report (fwd)":                          "report",
		"Report (fwd) (fwd)":                    "report",
		"[Fwd: Report]":                         "report",
		"[Fwd: Re: [list] Report (fwd)]":        "report",
		"Antw: Sv: Vs: Ref: Rif: R: WG: x":      "x",
		"TR: RV: ENC: Doorst: Odp: YNT: ILT: x": "x",
		"回复：报告":                                 "报告",
		"答复: 转发: 报告":                            "报告",
		"RE： full-width":                        "full-width",
		"Regarding: x":                          "regarding: x",
		"Re":                                    "re",
		"Re:":                                   "",
		"re[: x":                                "re[: x",
		"re[x]: y":                              "re[x]: y",
		"x: Re: y":                              "x: re: y",
		"  many \t spaces ":                     "many spaces",
		"ﬁne":                                   "fine",
		"[unclosed Re: x":                       "[unclosed re: x",
		strings.Repeat("Re: ", 10) + "x":        "x",
		"[" + strings.Repeat("[", 500) + "] done": "[" + strings.Repeat("[", 500) + "] done",
	} {
		if got := parser.SubjectBase(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The keys of replies are the same, so a thread of three languages is one.
func TestSubjectBaseOfTheMessage(t *testing.T) {
	t.Parallel()
	m := parser.Parse(text("Subject: =?utf-8?Q?AW:_=5Blist=5D_Gr=C3=BC=C3=9Fe?=", "", "x"))
	if m.SubjectBase != "grüße" || m.Subject != "AW: [list] Grüße" {
		t.Errorf("%q of %q", m.SubjectBase, m.Subject)
	}
}

func FuzzSubjectBase(f *testing.F) {
	for _, s := range []string{"Re: x", "[a] Re[2]: x (fwd)", "[fwd: x]", "[[[", "re:re:", "回复：", "\ufdfa"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		base := parser.SubjectBase(s)
		if !utf8.ValidString(base) || strings.TrimSpace(base) != base {
			t.Errorf("%q: %q", s, base)
		}
		if len(s) < 200 && parser.SubjectBase("Re: "+s) != base {
			t.Errorf("a reply to %q has the base %q, not %q", s, parser.SubjectBase("Re: "+s), base)
		}
	})
}
