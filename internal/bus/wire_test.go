package bus

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

func TestTokens(t *testing.T) {
	for _, name := range []string{"a", "a.b", "*", ">", "日本", strings.Repeat("x", maxMailbox)} {
		token, err := tokenOf(name)
		if err != nil || strings.ContainsAny(token, ".*> ") {
			t.Errorf("%q: %q, %v", name, token, err)
		}
		if back, err := mailboxOf(token); back != name || err != nil {
			t.Errorf("%q came back as %q, %v", name, back, err)
		}
	}
	for _, token := range []string{"", "*", "bR", "_w", "a b"} { // bR has stray bits, _w is not UTF-8
		if name, err := mailboxOf(token); err == nil {
			t.Errorf("token %q is %q", token, name)
		}
	}
}

func TestEnvelopeRefusals(t *testing.T) {
	good := func() nats.Header {
		d := mail.Delivery{Fingerprint: mail.FingerprintOf([]byte("x"))}
		h, err := envelope{transfer: nuid.Next(), delivery: &d, receipt: "_INBOX.a.b", size: 1}.header()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if _, err := openEnvelope(good(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(nats.Header){
		"wildcard transfer": func(h nats.Header) { h.Set(fieldTransfer, "*") },
		"no transfer":       func(h nats.Header) { h.Del(fieldTransfer) },
		"API reply":         func(h nats.Header) { h.Set(fieldReceipt, "$JS.API.STREAM.PURGE.RAW") },
		"no reply":          func(h nats.Header) { h.Del(fieldReceipt) },
		"wildcard reply":    func(h nats.Header) { h.Set(fieldReceipt, "_INBOX.>") },
		"no size":           func(h nats.Header) { h.Del(fieldSize) },
		"negative size":     func(h nats.Header) { h.Set(fieldSize, "-1") },
		"other size":        func(h nats.Header) { h.Set(fieldSize, "2") },
		"chunks":            func(h nats.Header) { h.Set(fieldChunks, "1") },
		"no chunks":         func(h nats.Header) { h.Set(fieldChunks, "0") },
		"null delivery":     func(h nats.Header) { h.Set(fieldDelivery, "null") },
		"broken delivery":   func(h nats.Header) { h.Set(fieldDelivery, "{") },
	} {
		h := good()
		change(h)
		if _, err := openEnvelope(h, []byte("x")); mail.KindOf(err) != mail.Invalid && mail.KindOf(err) != mail.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What openEnvelope accepts is safe to act on and is written again as it was.
func FuzzOpenEnvelope(f *testing.F) {
	f.Add("abcdefghijABCDEFGHIJ12", `{"mailbox":"m","size":1}`, "_INBOX.x.y", "1", "", []byte("x"))
	f.Add("abcdefghijABCDEFGHIJ12", "", "", "1048577", "3", []byte(nil))
	f.Fuzz(func(t *testing.T, transfer, delivery, receipt, size, chunks string, body []byte) {
		h := nats.Header{}
		for k, v := range map[string]string{fieldTransfer: transfer, fieldDelivery: delivery, fieldReceipt: receipt, fieldSize: size, fieldChunks: chunks} {
			h.Set(k, v)
		}
		e, err := openEnvelope(h, body)
		if err != nil {
			return
		}
		if strings.ContainsAny(e.transfer, ".*> ") || e.size < 0 || e.chunks == 0 && e.size != int64(len(body)) {
			t.Fatalf("accepted %+v", e)
		}
		if e.delivery != nil && (strings.ContainsAny(e.receipt, "*> ") || e.delivery.Size != e.size) {
			t.Fatalf("accepted %+v of %+v", e, e.delivery)
		}
		again, err := e.header()
		if err != nil {
			return // more metadata than we would write
		}
		if e2, err := openEnvelope(again, body); err != nil || e2.transfer != e.transfer || e2.size != e.size || e2.chunks != e.chunks {
			t.Fatalf("%+v became %+v, %v", e, e2, err)
		}
	})
}

func FuzzMailboxOf(f *testing.F) {
	f.Add("bQ")
	f.Fuzz(func(t *testing.T, token string) {
		name, err := mailboxOf(token)
		if err != nil || len(name) > maxMailbox {
			return
		}
		if back, err := tokenOf(name); err != nil || back != token && !strings.ContainsAny(token, "\r\n") {
			t.Fatalf("%q is %q is %q, %v", token, name, back, err)
		}
	})
}

func TestKinds(t *testing.T) {
	for err, want := range map[error]mail.Kind{
		&jetstream.APIError{ErrorCode: 10077, Description: "maximum bytes exceeded"}: mail.NoSpace,
		&jetstream.APIError{ErrorCode: 10077, Description: "stream store failed"}:    mail.Temporary,
		&jetstream.APIError{ErrorCode: 10023}:                                        mail.NoSpace,
		&jetstream.APIError{ErrorCode: 10047}:                                        mail.NoSpace,
		&jetstream.APIError{ErrorCode: 10054}:                                        mail.Invalid,
		&jetstream.APIError{ErrorCode: 10167}:                                        mail.Temporary,
		nats.ErrTimeout:                                                              mail.Temporary,
		nats.ErrNoResponders:                                                         mail.Temporary,
		nats.ErrAuthorization:                                                        mail.Denied,
		nats.ErrMaxPayload:                                                           mail.Invalid,
		fmt.Errorf("x: %w", errors.New("broken")):                                    mail.Temporary,
	} {
		if got := kindOf(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
	for k := mail.Other; k <= mail.Denied; k++ {
		if parseKind(k.String()) != k {
			t.Errorf("kind %v does not travel", k)
		}
	}
	if parseKind("of the future") != mail.Other {
		t.Error("an unknown kind is not other")
	}
	// A fault keeps kind, text and hint.
	err := faultOf(mail.WithHint(mail.Errorf(mail.NoSpace, "100%% full"), "free 50%%")).err()
	if mail.KindOf(err) != mail.NoSpace || err.Error() != "100% full" || mail.HintOf(err) != "free 50%" {
		t.Errorf("%v %v %q", mail.KindOf(err), err, mail.HintOf(err))
	}
}

func TestVersions(t *testing.T) {
	for v, ok := range map[string]bool{"2.14.6": true, "2.15.2": true, "3.0.0": true, "2.14.6-RC.1": false, "2.14.5": false, "": false, "x": false} {
		if err := checkVersion(v); (err == nil) != ok {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func TestUnreadableAnswers(t *testing.T) {
	if _, err := (answer{}).open(); mail.KindOf(err) != mail.Temporary {
		t.Errorf("an empty answer: %v", err)
	}
}
