package threads

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

func TestReplied(t *testing.T) {
	t.Parallel()
	tests := []struct {
		subject, base string
		want          bool
	}{
		{"Re: Budget", "budget", true},
		{"RE: AW: Budget", "budget", true},
		{"Antw[2]: Budget", "budget", true},
		{"[list] Re: Budget", "budget", true},
		{"回复：预算", "预算", true},
		{"[Fwd: Budget]", "budget", true},
		{"Budget", "budget", false},
		{"[list: finance] Budget", "budget", false},
		{"Budget (fwd)", "budget", false},
		{"Re:", "", false},
		{"", "", false},
	}
	for _, tt := range tests {
		if got := replied(tt.subject, tt.base); got != tt.want {
			t.Errorf("%q over %q: %v", tt.subject, tt.base, got)
		}
	}
}

func TestLinkOf(t *testing.T) {
	t.Parallel()
	ann, bob := mail.Address{Addr: "ann@example.org"}, mail.Address{Addr: "bob@example.org"}
	m := &mail.Message{Subject: "Re: Budget", SubjectBase: "budget", MessageID: "a@example.org", References: []string{"b@example.org"},
		From: []mail.Address{ann}, To: []mail.Address{bob, {Name: "undisclosed"}}, Cc: []mail.Address{ann}}
	at := time.Unix(1_700_000_000, 0)
	want := Link{Seq: 9, MessageID: "a@example.org", References: []string{"b@example.org"}, Subject: "budget", Reply: true, Date: at,
		People: []string{"ann@example.org", "bob@example.org"}}
	if diff := cmp.Diff(want, LinkOf(9, m, at)); diff != "" {
		t.Error(diff)
	}
}
