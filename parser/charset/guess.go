package charset

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

const (
	guessWindow = 4 << 10 // octets looked at, from the first one above 127 on
	minHigh     = 12      // octets above 127 below which nothing is guessed
)

// guess names the charset of octets that are neither UTF-8 nor ISO-2022, by the
// places and the frequency of those above 127. It names only what it can tell:
// the charsets of East Asia and the alphabets that are not Latin. Which of the
// charsets of Latin alphabets a text is in does not show in so few octets, so
// for them, and for all else, it is windows-1252.
func guess(b []byte) string {
	s := sampleOf(b)
	if s.high < minHigh {
		return Windows
	}
	if s.high*2 >= s.letters {
		if name := guessPairs(s); name != "" {
			return name
		}
		if name := guessAlphabet(s); name != "" {
			return name
		}
	}
	return Windows
}

// A sample is the window of octets that is looked at.
type sample struct {
	b       []byte
	high    int // octets above 127
	letters int // those, and the letters of ASCII
}

func sampleOf(b []byte) (s sample) {
	start := 0
	for start < len(b) && b[start] < 0x80 {
		start++
	}
	s.b = b[start:min(len(b), start+guessWindow)]
	for _, c := range s.b {
		switch {
		case c >= 0x80:
			s.high++
			s.letters++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			s.letters++
		}
	}
	return s
}

// guessPairs tells the charsets of East Asia apart, which write a character as
// two octets. Text that comes in pairs of high octets is EUC: Japanese where it
// holds kana, Korean where nearly all pairs are in the rows of Hangul, else
// Chinese. Big5 and Shift JIS have second octets below 128.
func guessPairs(s sample) string {
	pairs, hangul, ok := eucPairs(s.b)
	switch {
	case ok && kana(s.b, japanese.EUCJP)*4 >= pairs:
		return "euc-jp"
	case ok && hangul*20 >= pairs*19 && sound(s.b, korean.EUCKR):
		return "euc-kr"
	case ok && sound(s.b, simplifiedchinese.GBK):
		return "gbk"
	case kana(s.b, japanese.ShiftJIS)*8 >= s.high/2:
		return "shift_jis"
	case commonBig5(s.b)*5 >= s.high*2 && sound(s.b, traditionalchinese.Big5):
		return "big5"
	}
	return ""
}

// eucPairs counts the pairs of octets above 160 and those of them in the rows
// of Hangul; ok says that there are no others above 127. The window may end
// within a pair.
func eucPairs(b []byte) (pairs, hangul int, ok bool) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] < 0x80:
			continue
		case b[i] < 0xa1, i+1 < len(b) && b[i+1] < 0xa1:
			return 0, 0, false
		case b[i] >= 0xb0 && b[i] <= 0xc8 || b[i] < 0xa9: // or of punctuation
			hangul++
		}
		pairs++
		i++
	}
	return pairs, hangul, pairs > 0
}

// kana counts the kana in b read in the encoding; 0 if it cannot be.
func kana(b []byte, enc encoding.Encoding) (n int) {
	text, ok := decodeSample(b, enc)
	if !ok {
		return 0
	}
	for _, r := range text {
		if r >= 0x3041 && r <= 0x30fc {
			n++
		}
	}
	return n
}

// commonBig5 counts the pairs in the rows of the frequent characters of Big5.
func commonBig5(b []byte) (n int) {
	for i := 0; i+1 < len(b); i++ {
		if b[i] < 0x80 {
			continue
		}
		if b[i] >= 0xa4 && b[i] <= 0xc6 {
			n++
		}
		i++
	}
	return n
}

func sound(b []byte, enc encoding.Encoding) bool {
	_, ok := decodeSample(b, enc)
	return ok
}

// decodeSample decodes b and reports whether all of it but a character that the
// window cuts is sound.
func decodeSample(b []byte, enc encoding.Encoding) (string, bool) {
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return "", false
	}
	text := []rune(string(out))
	for i, r := range text {
		if r == '\uFFFD' && i < len(text)-2 {
			return "", false
		}
	}
	return string(text), true
}

// alphabets lists charsets with the octets of the six letters that are the most
// frequent in texts in them.
var alphabets = [...]struct {
	name    string
	letters string
}{
	{"windows-1251", "\xee\xe5\xe0\xe8\xed\xf2"}, // о е а и н т
	{"koi8-r", "\xcf\xc5\xc1\xc9\xce\xd4"},
	{"iso-8859-5", "\xde\xd5\xd0\xd8\xdd\xe2"},
	{"ibm866", "\xae\xa5\xa0\xa8\xad\xe2"},
	{"windows-1253", "\xe1\xef\xe9\xe5\xf4\xed"}, // α ο ι ε τ ν
	{"windows-1255", "\xe9\xe5\xe4\xec\xe0\xf8"}, // י ו ה ל א ר
	{"windows-1256", "\xc7\xe1\xed\xe3\xe6\xe4"}, // ا ل ي م و ن
}

// guessAlphabet returns the charset whose frequent letters are the most frequent
// in the sample: in a text of some length they are two fifths of all.
func guessAlphabet(s sample) string {
	var count [256]int
	for _, c := range s.b {
		count[c]++
	}
	best, name := 0, ""
	for _, a := range alphabets {
		n := 0
		for i := range len(a.letters) {
			n += count[a.letters[i]]
		}
		if n > best {
			best, name = n, a.name
		}
	}
	if best*3 < s.high {
		return ""
	}
	return name
}
