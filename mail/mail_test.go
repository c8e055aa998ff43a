package mail

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestReceiptCovers(t *testing.T) {
	f := Fingerprint{Digest: DigestOf([]byte("a")), Size: 1}
	ok := Receipt{Delivery: Delivery{Capture: Capture{Mailbox: "m"}, Fingerprint: f}, SealedAt: time.Unix(1, 0)}
	suspect, other := ok, ok
	suspect.Suspect = "short"
	other.Mailbox = "n"
	for name, tc := range map[string]struct {
		r    Receipt
		f    Fingerprint
		want bool
	}{
		"same":          {ok, f, true},
		"zero":          {Receipt{}, f, false},
		"suspect":       {suspect, f, false},
		"other mailbox": {other, f, false},
		"other bytes":   {ok, Fingerprint{Digest: DigestOf([]byte("b")), Size: 1}, false},
		"other size":    {ok, Fingerprint{Digest: f.Digest, Size: 2}, false},
	} {
		if err := tc.r.Covers("m", tc.f); (err == nil) != tc.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReceiptSince(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for name, tc := range map[string]struct {
		r    Receipt
		want time.Time
	}{
		"zero":           {Receipt{}, time.Time{}},
		"sealed":         {Receipt{SealedAt: at(5)}, at(5)},
		"fetched later":  {Receipt{SealedAt: at(5), Delivery: Delivery{Capture: Capture{Fetched: at(7)}}}, at(7)},
		"fetched before": {Receipt{SealedAt: at(5), Delivery: Delivery{Capture: Capture{Fetched: at(3)}}}, at(5)},
		"brought before": {Receipt{SealedAt: at(5), First: at(1)}, at(1)},
	} {
		if got := tc.r.Since(); !got.Equal(tc.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTextForms(t *testing.T) {
	id, err := ParseID("3-42")
	if err != nil || id.String() != "3-42" {
		t.Errorf("id %v, %v", id, err)
	}
	if id, err = ParseID("7"); err != nil || id != (ID{0, 7}) {
		t.Errorf("short id %v, %v", id, err)
	}
	for _, s := range []string{"", "-", "x", "1-", "70000-1", "1-2-3", "-1"} {
		if _, err := ParseID(s); KindOf(err) != Invalid {
			t.Errorf("ParseID(%q): %v", s, err)
		}
	}
	in := Receipt{Delivery: Delivery{Capture: Capture{UIDL: "a\xff\x00"}, Fingerprint: Fingerprint{Digest: DigestOf(nil)}}, ID: id}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Receipt
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("round trip: %v, %+v", err, out)
	}
}

func TestKinds(t *testing.T) {
	err := WithHint(fmt.Errorf("outer: %w", Errorf(NoSpace, "disk full")), "free some")
	err = fmt.Errorf("and: %w", err)
	if KindOf(err) != NoSpace || HintOf(err) != "free some" || err.Error() != "and: outer: disk full" {
		t.Errorf("%v %q %v", KindOf(err), HintOf(err), err)
	}
}

func TestPartition(t *testing.T) {
	// FNV-1a test vector of the hash's authors: "foobar" -> 85944171f73967e8.
	if got := Partition("foobar", 1<<15); uint64(got) != 0x85944171f73967e8%(1<<15) {
		t.Errorf("partition %d", got)
	}
}
