package envelope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

func TestUnite(t *testing.T) {
	t.Parallel()
	journaling := envelope.Rules{Journal: true}
	one, other := read(t, fixture(t, "exchange"), journaling), read(t, fixture(t, "split"), journaling)
	rough := &mail.Envelope{Source: envelope.Journal, OnBehalfOf: "boss@example.org", Recipients: []mail.Recipient{
		{Role: "recipient", Addr: "dora@example.org"}, {Role: "recipient", Addr: "ida@example.org"},
	}}
	got := envelope.Unite([]*mail.Envelope{nil, rough, one.Envelope, other.Envelope})
	want := &mail.Envelope{Source: envelope.Journal, Sender: "anna@example.org", OnBehalfOf: "boss@example.org",
		Subject: "Quarterly numbers für Zürich", MessageID: "numbers-1@example.org", Recipients: []mail.Recipient{
			{Role: "recipient", Addr: "ida@example.org"},
			{Role: "to", Addr: "bert@example.org"},
			{Role: "cc", Addr: "clara@example.org", ExpandedFrom: "board@example.org"},
			{Role: "bcc", Addr: "dora@example.org"},
			{Role: "recipient", Addr: "emil@example.org", ForwardedFrom: "fritz@example.org"},
			{Role: "recipient", Addr: "greta@example.net", ExpandedFrom: "team@example.org"},
			{Role: "bcc", Addr: "heidi@example.org"},
		}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if envelope.Unite([]*mail.Envelope{nil}) != nil || envelope.Unite(nil) != nil {
		t.Error("an envelope of nothing")
	}
}
