package extract

import (
	"fmt"

	"github.com/mailkeep/mailkeep/parser/charset"
)

// codePage returns the charset label of a Windows code page.
func codePage(n int) string {
	switch n {
	case 0:
		return ""
	case 1200:
		return "utf-16le"
	case 1201:
		return "utf-16be"
	case 10000, 32768:
		return "macintosh"
	case 10007:
		return "x-mac-cyrillic"
	case 1361: // Johab, which nobody has a table for
		return "euc-kr"
	case 32769:
		return "windows-1252"
	case 367, 20127:
		return "us-ascii"
	case 20866:
		return "koi8-r"
	case 21866:
		return "koi8-u"
	case 20932, 51932:
		return "euc-jp"
	case 50220, 50221, 50222:
		return "iso-2022-jp"
	case 50225:
		return "iso-2022-kr"
	case 51936:
		return "gbk"
	case 51949:
		return "euc-kr"
	case 52936:
		return "hz-gb-2312"
	case 65000:
		return "utf-7"
	}
	if n > 28590 && n < 28606 {
		return fmt.Sprintf("iso-8859-%d", n-28590)
	}
	return fmt.Sprintf("cp%d", n)
}

// codePageOf returns the charset label that Windows uses for a language when a
// program knows no Unicode ([MS-LCID]).
func codePageOf(language int) string {
	switch language {
	case 0x0404, 0x0c04, 0x1404:
		return "cp950"
	case 0x0804, 0x1004:
		return "cp936"
	case 0x041e:
		return "cp874"
	case 0x042a:
		return "cp1258"
	}
	switch language & 0x3ff {
	case 0x11:
		return "cp932"
	case 0x12:
		return "cp949"
	case 0x05, 0x0e, 0x15, 0x18, 0x1b, 0x1c, 0x24:
		return "cp1250"
	case 0x1a:
		if language == 0x0c1a || language == 0x1c1a {
			return "cp1251"
		}
		return "cp1250"
	case 0x02, 0x19, 0x22, 0x23, 0x2f:
		return "cp1251"
	case 0x08:
		return "cp1253"
	case 0x1f:
		return "cp1254"
	case 0x0d:
		return "cp1255"
	case 0x01, 0x20, 0x29:
		return "cp1256"
	case 0x25, 0x26, 0x27:
		return "cp1257"
	}
	return "cp1252"
}

func decodeLabel(b []byte, label string) string {
	if len(b) == 0 {
		return ""
	}
	return charset.Decode(b, label).Text
}
