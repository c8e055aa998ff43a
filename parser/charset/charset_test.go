package charset

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, label, want, used string
	}{
		"ascii":                        {"plain", "us-ascii", "plain", "us-ascii"},
		"no label":                     {"plain", "", "plain", "us-ascii"},
		"latin-1 means windows-1252":   {"\x93q\x94 \x80", "iso-8859-1", "“q” €", "windows-1252"},
		"latin-9":                      {"\xa4", "ISO-8859-15", "€", "iso-8859-15"},
		"undeclared utf-8":             {"gr\xc3\xbcn", "", "grün", "utf-8"},
		"undeclared 8-bit":             {"gr\xfcn", "", "grün", "windows-1252"},
		"us-ascii with 8-bit":          {"gr\xfcn", "us-ascii", "grün", "windows-1252"},
		"unknown label":                {"gr\xfcn", "x-klingon", "grün", "windows-1252"},
		"unknown label, utf-8":         {"gr\xc3\xbcn", "x-klingon", "grün", "utf-8"},
		"utf-8 quoted":                 {"\xe2\x82\xac", `"UTF-8"`, "€", "utf-8"},
		"utf_8":                        {"\xe2\x82\xac", "utf_8", "€", "utf-8"},
		"utf-8 with latin octets":      {"a\xe4b", "utf-8", "aäb", "windows-1252"},
		"utf-8 with one bad octet":     {"\xc3\xbc\xe4", "utf-8", "üä", "utf-8"},
		"utf-8 with mark":              {"\xef\xbb\xbfx\xc3\xbc", "utf-8", "xü", "utf-8"},
		"cp932":                        {"\x93\xfa\x96{", "cp932", "日本", "shift_jis"},
		"windows-31j":                  {"\x93\xfa\x96{", "Windows-31J", "日本", "shift_jis"},
		"iso-2022-jp":                  {"\x1b$BF|K\\\x1b(B", "ISO-2022-JP", "日本", "iso-2022-jp"},
		"iso-2022-jp-ms":               {"\x1b$BF|K\\\x1b(B", "iso-2022-jp-ms", "日本", "iso-2022-jp"},
		"undeclared iso-2022-jp":       {"\x1b$BF|K\\\x1b(B", "", "日本", "iso-2022-jp"},
		"iso-2022-kr":                  {"\x1b$)C\x0eGQ1[\x0f ok", "iso-2022-kr", "한글 ok", "iso-2022-kr"},
		"euc-kr by ks_c":               {"\xc7\xd1\xb1\xdb", "ks_c_5601-1987", "한글", "euc-kr"},
		"hz":                           {"~{<:Ky~}.", "hz-gb-2312", "己所.", "hz-gb-2312"},
		"gb2312":                       {"\xc4\xe3\xba\xc3", "gb2312", "你好", "gbk"},
		"gb18030":                      {"\xc4\xe3\xba\xc3", "GB18030", "你好", "gb18030"},
		"big5":                         {"\xa7\xda", "big5-hkscs", "我", "big5"},
		"mislabelled utf-8":            {"\xe4\xbd\xa0\xe5\xa5\xbd\xef\xbc\x81", "us-ascii", "你好！", "utf-8"},
		"viscii":                       {"Vi\xaet \x02\x1e \xa5\xff", "csVISCII", "Vi\u1ec7t \u1eb2\u1ef4 \u1ea7\u1eee", "viscii"},
		"koi8-r":                       {"\xd4\xc5\xd3\xd4", "koi8-r", "тест", "koi8-r"},
		"windows-1251 misspelt":        {"\xf2\xe5\xf1\xf2", "win-1251", "тест", "windows-1251"},
		"cp-850":                       {"\x81", "cp-850", "ü", "ibm850"},
		"ibm-850":                      {"\x81", "IBM-850", "ü", "ibm850"},
		"tis-620":                      {"\xa1", "tis-620", "ก", "windows-874"},
		"macintosh":                    {"\x8a", "macintosh", "ä", "macintosh"},
		"hebrew":                       {"\xf9", "iso-8859-8-i", "ש", "iso-8859-8-i"},
		"utf-16 with mark":             {"\xff\xfea\x00\xe4\x00", "utf-16", "aä", "utf-16"},
		"utf-16 big endian":            {"\x00a\x00b", "utf-16", "ab", "utf-16"},
		"utf-16 little, undeclared so": {"a\x00b\x00", "utf-16", "ab", "utf-16"},
		"utf-16le":                     {"a\x00b\x00", "utf-16le", "ab", "utf-16le"},
		"ucs-2":                        {"\x00a", "ucs-2", "a", "utf-16"},
		"utf-7":                        {"Hi Mom +Jjo-!", "utf-7", "Hi Mom ☺!", "utf-7"},
		"utf-7 plus":                   {"1 +- 1", "unicode-1-1-utf-7", "1 + 1", "utf-7"},
		"utf-7 surrogates":             {"+2D3cqQ-", "utf-7", "💩", "utf-7"},
		"x-user-defined":               {"gr\xfcn", "x-user-defined", "grün", "windows-1252"},
		"comment in label":             {"\xe4", "iso-8859-1 (Latin)", "ä", "windows-1252"},
	} {
		got := Decode([]byte(tc.in), tc.label)
		if got.Text != tc.want || got.Used != tc.used {
			t.Errorf("%s: %q in %s, want %q in %s", name, got.Text, got.Used, tc.want, tc.used)
		}
	}
}

func TestDecodeTells(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, label string
		want      Result
	}{
		"fine":              {"\xc3\xbc", "utf-8", Result{}},
		"unknown":           {"\xfc", "x-klingon", Result{Unknown: true, Undeclared: true, Detected: true}},
		"unknown but ASCII": {"u", "x-klingon", Result{Unknown: true}},
		"undeclared":        {"\xfc", "", Result{Undeclared: true, Detected: true}},
		"invalid":           {"\xc3\xbc\xfc", "utf-8", Result{Invalid: true}},
		"invalid sjis":      {"\x81\xff\xff", "shift_jis", Result{Invalid: true}},
		"really utf-8":      {"\xe4\xbd\xa0\xe5\xa5\xbd\xf0\x9f\x98\x80", "euc-kr", Result{Detected: true}},
		"broken utf-7":      {"+AAB!", "utf-7", Result{Invalid: true}},
	} {
		got := Decode([]byte(tc.in), tc.label)
		got.Text, got.Used = "", ""
		if got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestEveryAliasIsKnown guards the table: an alias of nothing would turn every
// mail that uses it into a guess.
func TestEveryAliasIsKnown(t *testing.T) {
	t.Parallel()
	for from, to := range aliases {
		if !known(to) {
			t.Errorf("%q stands for %q, which no table knows", from, to)
		}
		if Label(strings.ToUpper(from)) != to {
			t.Errorf("Label(%q) = %q, want %q", from, Label(from), to)
		}
	}
	for label := range nothing {
		if !meaningless(Label(label)) {
			t.Errorf("%q is an alias and meaningless at once", label)
		}
	}
}

func TestNewReaderGivesTheErrorOfItsReader(t *testing.T) {
	t.Parallel()
	if _, err := NewReader("utf-8", iotest.ErrReader(io.ErrClosedPipe)); err != io.ErrClosedPipe {
		t.Errorf("error %v", err)
	}
	r, err := NewReader("cp932", strings.NewReader("\x93\xfa"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(r); string(b) != "日" {
		t.Errorf("read %q", b)
	}
}

func FuzzCharset(f *testing.F) {
	for _, s := range []string{"plain", "gr\xfcn", "\x1b$BF|K\\\x1b(B", "\x1b$)C\x0eGQ1[", "+2D3cqQ-", "+", "~{<:~}", "\xff\xfea\x00", "\xc3"} {
		for _, label := range []string{"", "utf-8", "utf-7", "iso-2022-jp", "iso-2022-kr", "hz", "utf-16", "utf-32", "gb18030", "big5", "x-klingon", "cp-850"} {
			f.Add([]byte(s), label)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, label string) {
		got := Decode(b, label)
		if !utf8.ValidString(got.Text) {
			t.Errorf("Decode(%q, %q) is not UTF-8: %q", b, label, got.Text)
		}
		if len(got.Text) > 6*len(b)+8 {
			t.Errorf("%d octets became %d", len(b), len(got.Text))
		}
		if got.Used == "" {
			t.Errorf("Decode(%q, %q) names no charset", b, label)
		}
		if again := Decode(b, label); again != got {
			t.Errorf("two results: %+v, %+v", got, again)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(strings.Repeat("Sehr geehrte Damen und Herren, \xfcber ", 200))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Decode(text, "iso-8859-1")
	}
}
