package mail

import "testing"

func TestFingerprint(t *testing.T) {
	for raw, header := range map[string]string{
		"":                             "",
		"\r\n":                         "",
		"\r\nbody":                     "",
		"A: b\r\n\r\nbody\r\n\r\nmore": "A: b\r\n",
		"A: b\r\nC: d\r\n\r\n":         "A: b\r\nC: d\r\n",
		"A: b\r\n":                     "A: b\r\n",
		"A: b\r\n\r":                   "A: b\r\n\r",
		"A: b\r\n\rx\r\n\r\ny":         "A: b\r\n\rx\r\n",
		"A: b\r\n\r\r\n\r\ny":          "A: b\r\n\r\r\n",
		"A: b\n\nbare":                 "A: b\n\nbare",
		"A: b\r\r\n\r\ny":              "A: b\r\r\n",
		"\r":                           "\r",
	} {
		want := Fingerprint{DigestOf([]byte(raw)), DigestOf([]byte(header)), int64(len(raw))}
		if got := FingerprintOf([]byte(raw)); got != want {
			t.Errorf("%q: header is not %q", raw, header)
		}
		for cut := range len(raw) {
			var f Fingerprinter
			f.Write([]byte(raw[:cut]))
			f.Write([]byte(raw[cut:]))
			if f.Sum() != want {
				t.Errorf("%q cut at %d: header is not %q", raw, cut, header)
			}
		}
		var f Fingerprinter
		for i := range len(raw) {
			f.Write([]byte{raw[i]})
		}
		if f.Sum() != want {
			t.Errorf("%q octet by octet: header is not %q", raw, header)
		}
	}
}
