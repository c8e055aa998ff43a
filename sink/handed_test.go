package sink

import (
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
)

// TestHandedBytesAreVerified: bytes that are handed over in memory and are not what
// was announced get no receipt, be they small or large, new or of a message that is
// sealed already.
func TestHandedBytesAreVerified(t *testing.T) {
	t.Parallel()
	large := "Subject: large\n\n" + strings.Repeat("0123456789abcde\n", inlineSize/16+1)
	r := memRig(t, Options{})
	sealed := []letter{newLetter("a", "1", "Subject: small\n\n"), newLetter("a", "2", large)}
	r.deliver(sealed...)
	for name, announced := range map[string]letter{
		"small": newLetter("a", "3", "Subject: another\n\n"), "large": newLetter("a", "4", large+"x"),
		"small and sealed": newLetter("b", "1", string(sealed[0].raw)), "large and sealed": newLetter("b", "2", large),
	} {
		for fault, raw := range map[string]string{
			"an octet is another": "X" + string(announced.raw[1:]), "cut": string(announced.raw[:len(announced.raw)-1]), "longer": string(announced.raw) + "x",
		} {
			l := announced
			l.raw, l.handed = []byte(raw), true
			if got := r.send(l)[0]; mail.KindOf(got.err) != mail.Corrupt {
				t.Errorf("%s, %s: receipt %+v, error %v", name, fault, got.Receipt, got.err)
			}
		}
	}
	if n := len(r.records()); n != len(sealed) {
		t.Errorf("%d messages are in the ledger, want %d", n, len(sealed))
	}
}
