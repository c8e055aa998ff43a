package mail

import "testing"

func TestFingerprintHeader(t *testing.T) {
	for _, c := range []struct{ raw, header string }{
		{"", ""},
		{"\r\nbody", ""},
		{"\nbody", ""},
		{"A: 1\r\n\r\nbody\r\n\r\n", "A: 1\r\n"},
		{"A: 1\n\nbody", "A: 1\n"},
		{"A: 1\r\n\nbody", "A: 1\r\n"},
		{"A: 1\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n"},
		{"A: 1", "A: 1"},
		{"A: 1\r\n\r", "A: 1\r\n\r"},
		{"A: 1\r\n\rB\r\n\r\nx", "A: 1\r\n\rB\r\n"},
		{"A: 1\r\n\r\r\n\r\nx", "A: 1\r\n\r\r\n"},
		{"\rA\r\n\r\nx", "\rA\r\n"},
	} {
		want := Fingerprint{Digest: DigestOf([]byte(c.raw)), Header: DigestOf([]byte(c.header)), Size: int64(len(c.raw))}
		if got := FingerprintOf([]byte(c.raw)); got != want {
			t.Errorf("FingerprintOf(%q) = %v, want header %q", c.raw, got, c.header)
		}
		f := NewFingerprinter()
		for i := range len(c.raw) {
			f.Write([]byte{c.raw[i]})
		}
		if got := f.Sum(); got != want {
			t.Errorf("octet by octet %q: %v, want header %q", c.raw, got, c.header)
		}
	}
}
