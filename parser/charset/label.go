package charset

import (
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// aliases maps labels seen in mail, in the form that Label gives, to names that
// the tables of x/text know, or to the names of this package's own decoders.
var aliases = map[string]string{
	"ascii": ASCII, "ansi_x3.4-1968": ASCII, "iso646-us": ASCII, "us": ASCII, "usascii": ASCII,
	"us_ascii": ASCII, "7bit": ASCII, "iso-646": ASCII,

	"utf8": UTF8, "utf_8": UTF8, "utf-8n": UTF8, "x-utf-8": UTF8, "unicode-1-1-utf-8": UTF8, "cp65001": UTF8,
	"windows-65001": UTF8, "utf8mb4": UTF8, "utf-8-mac": UTF8,

	"utf7": UTF7, "unicode-1-1-utf-7": UTF7, "unicode-2-0-utf-7": UTF7, "x-unicode-1-1-utf-7": UTF7,
	"x-unicode-2-0-utf-7": UTF7, "csunicode11utf7": UTF7, "utf-7-imap": UTF7,

	"ucs-2": "utf-16", "ucs2": "utf-16", "utf16": "utf-16", "iso-10646-ucs-2": "utf-16", "unicode": "utf-16",
	"csunicode": "utf-16", "unicodefeff": "utf-16be", "unicodefffe": "utf-16be", "utf16le": "utf-16le",
	"utf16be": "utf-16be", "ucs-2le": "utf-16le", "ucs-2be": "utf-16be",
	"utf32": "utf-32", "ucs-4": "utf-32", "ucs4": "utf-32", "utf-32le": "utf-32", "utf-32be": "utf-32",

	"cp932": "shift_jis", "ms932": "shift_jis", "windows-932": "shift_jis", "windows-31j": "shift_jis",
	"csshiftjis": "shift_jis", "x-ms-cp932": "shift_jis", "shift-jis": "shift_jis", "sjis": "shift_jis",
	"iso-2022-jp-ms": ISO2022J, "iso-2022-jp-1": ISO2022J, "iso-2022-jp-2": ISO2022J, "iso-2022-jp-3": ISO2022J,
	"cp50220": ISO2022J, "cp50221": ISO2022J, "cp50222": ISO2022J, "iso2022jp": ISO2022J, "jis": ISO2022J,
	"eucjp": "euc-jp", "x-euc": "euc-jp", "cp51932": "euc-jp", "eucjp-ms": "euc-jp",
	"iso2022kr": ISO2022K, "csiso2022kr": ISO2022K,
	"cp949": "euc-kr", "ms949": "euc-kr", "uhc": "euc-kr", "x-windows-949": "euc-kr", "euckr": "euc-kr",
	"ks_c_5601-1989": "euc-kr", "ks_c_5601": "euc-kr",
	"cp936": "gbk", "ms936": "gbk", "windows-936": "gbk", "euc-cn": "gbk", "x-euc-cn": "gbk", "gb-2312": "gbk", "gb2312-80": "gbk",
	"gb-18030": "gb18030", "gb18030-2000": "gb18030", "cp54936": "gb18030",
	"csviscii": VISCII, "viscii1.1-1": VISCII, "x-viscii": VISCII,
	"hz": "hz-gb-2312", "hzgb2312": "hz-gb-2312",
	"cp950": "big5", "ms950": "big5", "windows-950": "big5", "big5hkscs": "big5", "big-5": "big5", "big5-eten": "big5",

	"latin": Windows, "latin-1": Windows, "iso-latin-1": Windows, "iso8859": Windows, "iso-8859": Windows,
	"iso_8859_1": Windows, "iso-8559-1": Windows, "iso-88591": Windows, "ansi": Windows, "x-ansi": Windows,
	"windows": Windows, "ansi_1252": Windows, "western": Windows, "windows-latin1": Windows, "win-latin1": Windows,
	"latin-9": "iso-8859-15", "latin9": "iso-8859-15", "l9": "iso-8859-15", "latin0": "iso-8859-15",
	"koi8r": "koi8-r", "koi8u": "koi8-u", "koi": "koi8-r", "koi8-ru": "koi8-u",
	"tis620": "tis-620", "iso-8859-11": "tis-620", "cp874": "windows-874",
	"mac": "macintosh", "x-mac-roman": "macintosh", "macroman": "macintosh", "applemac": "macintosh", "x-macroman": "macintosh",
	"iso-8859-8-e": "iso-8859-8", "logical": "iso-8859-8-i", "visual": "iso-8859-8",
}

// nothing lists labels by which their senders say that they do not know.
var nothing = map[string]bool{
	"": true, "unknown-8bit": true, "x-unknown": true, "unknown": true, "8bit": true, "none": true, "default": true,
	"default_charset": true, "x-user-defined": true, "_autodetect": true, "_autodetect_all": true, "auto": true,
	"x-unknown-8bit": true, "binary": true, "_charset": true, "charset": true, "iso-unknown": true, "any": true,
}

// Label brings a charset label into the form in which it is compared: lower
// case, without quotes, comments and surrounding noise, aliases resolved.
func Label(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	s, _, _ = strings.Cut(s, "(")
	s = strings.ToLower(strings.Trim(s, " \t\r\n\"';,="))
	s = strings.TrimPrefix(s, "charset=")
	s = strings.Trim(s, " \t\"';")
	if a, ok := aliases[s]; ok {
		return a
	}
	return codePage(s)
}

// codePage rewrites the many spellings of numbered code pages ("cp-850",
// "win1251", "IBM-850") to those of the tables.
func codePage(s string) string {
	for _, prefix := range [...]string{"x-windows-", "x-cp", "windows-cp", "windows-", "windows", "win-", "win", "cp-", "cp", "ibm-", "ibm", "dos-"} {
		num, ok := strings.CutPrefix(s, prefix)
		if !ok || len(num) < 3 || len(num) > 5 || strings.Trim(num, "0123456789") != "" {
			continue
		}
		if strings.HasPrefix(num, "125") || num == "874" {
			return "windows-" + num
		}
		return "ibm" + num
	}
	return s
}

func meaningless(label string) bool { return nothing[label] }

// stateless reports whether octets below 128 mean ASCII in the charset.
func stateless(label string) bool {
	switch label {
	case UTF7, ISO2022J, ISO2022K, VISCII, "hz-gb-2312", "utf-32":
		return false
	}
	return !strings.HasPrefix(label, "utf-16") && !strings.HasPrefix(label, "ibm0")
}

func known(label string) bool {
	switch label {
	case UTF8, ASCII, UTF7, ISO2022K, VISCII:
		return true
	}
	enc, _ := lookup(label)
	return enc != nil
}

// lookup finds the decoder of x/text and the name of a label; nil if there is none.
func lookup(label string) (encoding.Encoding, string) {
	switch label {
	case UTF8, ASCII, UTF7, ISO2022K, VISCII, "iso-2022-cn", "replacement":
		return nil, ""
	case "hz-gb-2312": // htmlindex maps it to the replacement decoder, which gives one U+FFFD
		return simplifiedchinese.HZGB2312, label
	case "utf-16", "utf-16le", "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), label
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM), label
	}
	if enc, err := htmlindex.Get(label); err == nil {
		name, err := htmlindex.Name(enc)
		if err == nil && name != "replacement" && name != "x-user-defined" {
			return enc, name
		}
		return nil, ""
	}
	if enc, err := ianaindex.IANA.Encoding(label); err == nil && enc != nil && enc != encoding.Replacement {
		return enc, label
	}
	return nil, ""
}

// endian chooses the byte order of UTF-16 and UTF-32. A byte order mark wins;
// without one the label does, and plain "utf-16" is big endian (RFC 2781
// section 4.3) unless the zero octets of its ASCII characters say otherwise.
func endian(enc encoding.Encoding, name string, b []byte) encoding.Encoding {
	little := name == "utf-16le" || name != "utf-16be" && zeros(b, 1) > zeros(b, 0)
	if name == "utf-32" {
		if little {
			return utf32.UTF32(utf32.LittleEndian, utf32.UseBOM)
		}
		return enc
	}
	if little {
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	}
	return enc
}

func zeros(b []byte, from int) (n int) {
	for i := from; i < min(len(b), 4096); i += 2 {
		if b[i] == 0 {
			n++
		}
	}
	return n
}

// surrogates joins UTF-16 code units; a lone half becomes U+FFFD.
func surrogates(units []uint16) []rune { return utf16.Decode(units) }
