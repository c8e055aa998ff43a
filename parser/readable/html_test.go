package readable_test

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/parser/readable"
)

func TestHTMLText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                       "",
		"words":                                  "words",
		"<p>one</p><p>two</p>":                   "one\n\ntwo",
		"<div>one</div><div>two</div>":           "one\ntwo",
		"one<br>two<br><br>three":                "one\ntwo\n\nthree",
		"<b>o</b>ne  \n two":                     "one two",
		"a&amp;b &lt;c&gt; &euro;&#x20ac;&nope;": "a&b <c> €€&nope;",
		"a&nbsp;b":                               "a b",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>": "a\tb\nc",
		"<ul><li>one</li><li>two</li></ul>":                               "one\ntwo",
		"<script>var a = '<p>';</script>x<style>p{}</style>y":             "xy",
		"<title>T</title><body>x":                                         "T\nx",
		"<a href='http://example.org/x'>link</a>":                         "link",
		"<img src=x alt='a picture'>words":                                "a picture words",
		"<!-- hidden -->shown":                                            "shown",
		"<!--[if mso]><p>mso</p><![endif]-->shown":                        "shown",
		"<p style='display:none'>hidden</p>shown":                         "hidden\n\nshown",
		"<pre>a\n  b</pre>c":                                              "a\nb\n\nc",
		"w\u200bo\u200drd\u00ad s\ufeff":                                  "word s",
		"bell\x07 nul\x00":                                                "bell nul",
		"<style>p{} unclosed <p>text":                                     "p{} unclosed\n\ntext",
		"<title>never closed <p>text":                                     "never closed\n\ntext",
		"<textarea>typed</textarea>":                                      "typed",
		"<iframe><p>inside</p></iframe>":                                  "inside",
		"a < b and c > d":                                                 "a < b and c > d",
		"<p":                                                              "",
		"text <unfinished":                                                "text",
	} {
		if got, cut := readable.HTML([]byte(in), 1<<20); got != want || cut {
			t.Errorf("%q: %q, want %q (cut %t)", in, got, want, cut)
		}
	}
}

// Mails carry pictures of megabytes in an attribute; a bounded token buffer
// would lose the text behind them.
func TestHTMLWithLargeAttribute(t *testing.T) {
	t.Parallel()
	in := "before <img src='data:image/png;base64," + strings.Repeat("A", 3<<20) + "'> behind"
	if got, _ := readable.HTML([]byte(in), 100); got != "before behind" {
		t.Errorf("%q", got)
	}
}

func TestHTMLIsCut(t *testing.T) {
	t.Parallel()
	got, cut := readable.HTML([]byte(strings.Repeat("<p>ü ", 100)), 50)
	if !cut || len(got) > 50 || !strings.HasPrefix(got, "ü\n\nü") {
		t.Errorf("%q, cut %t", got, cut)
	}
}
