package lab

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Empty reports whether Dovecot holds no message for a mailbox. It costs next to
// nothing, however many there are.
func (d *Dovecot) Empty(t testing.TB, mailbox string) bool {
	t.Helper()
	for _, sub := range []string{"cur", "new"} {
		dir, err := os.Open(filepath.Join(d.Dir, "mail", mailbox, sub))
		if err != nil {
			t.Fatal(err)
		}
		_, err = dir.Readdirnames(1)
		dir.Close()
		if !errors.Is(err, io.EOF) {
			return false
		}
	}
	return true
}
