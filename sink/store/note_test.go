package store

import "testing"

// FuzzNote: a note is refused or names an object that may be asked for.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"format":1,"octets":5,"sha256":"486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7","object":"a/b.seg","version":"1"}`))
	f.Add([]byte(`{"format":1,"octets":5,"object":"../b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(b)
		if err == nil && (n.Octets <= 0 || n.Sum.IsZero() || checkName(n.Name) != nil) {
			t.Errorf("%q is taken as %+v", b, n)
		}
	})
}
