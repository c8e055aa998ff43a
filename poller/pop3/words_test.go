package pop3

import (
	"slices"
	"testing"
)

// What Words writes is read to the same capabilities.
func TestCapabilityWords(t *testing.T) {
	if got := (Capabilities{}).Words(); got != nil {
		t.Errorf("without CAPA: %q", got)
	}
	for _, lines := range [][]string{
		{},
		{"TOP", "UIDL", "USER", "SASL PLAIN SCRAM-SHA-256", "STLS", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "UTF8 USER",
			"LOGIN-DELAY 900 USER", "EXPIRE 0", "IMPLEMENTATION Dovecot ready"},
		{"UTF8", "LOGIN-DELAY 60", "EXPIRE 30 USER"},
	} {
		caps := Capabilities{Known: true, Expire: ExpireNever}
		for _, line := range lines {
			caps.add(line)
		}
		if got := caps.Words(); !slices.Equal(got, lines) {
			t.Errorf("%q, want %q", got, lines)
		}
	}
}
