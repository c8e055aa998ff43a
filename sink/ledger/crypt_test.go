package ledger_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

// testKey is the master secret of the tests' encrypted ledgers.
var testKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789ABCDEF"))

func master(t testing.TB, secret string) keys.Wrapper {
	t.Helper()
	w, err := keys.NewMaster(secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// kekFile is a key source that can destroy, in a file system of its own.
func kekFile(t testing.TB) keys.Wrapper {
	t.Helper()
	f := keys.NewKEKFile(durabletest.New(), "keys", time.Now)
	if err := f.Generate(); err != nil {
		t.Fatal(err)
	}
	return f
}

// shipped is one dictionary for all tests: each keeps encoders of its own.
var shipped = sync.OnceValues(func() (*ledger.Dictionary, error) { return ledger.NewDictionary(dictionary.Mail()) })

func mailDictionary(t testing.TB) *ledger.Dictionary {
	t.Helper()
	d, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sealing makes options of a ledger that compresses with the dictionary and
// encrypts; its key files are in the same directory as the segments.
func sealing(t testing.TB, fsys durable.FS, w keys.Wrapper) ledger.Options {
	t.Helper()
	opts := options(t)
	opts.Dictionary = mailDictionary(t)
	opts.Keys = &keys.Dir{FS: fsys, Archive: archive, Wrapper: w}
	return opts
}

// judge verifies with the means of the options and returns report and findings.
func judge(t testing.TB, fsys durable.FS, opts ledger.Options) (ledger.Report, []ledger.Finding) {
	t.Helper()
	var damage []ledger.Finding
	rep, err := ledger.Verify(context.Background(), fsys, ledger.VerifyOptions{
		Archive: archive, Dictionaries: append(slices.Clone(opts.Dictionaries), mailDictionary(t)), Keys: opts.Keys,
		Found: func(f ledger.Finding) {
			if !f.Note() {
				damage = append(damage, f)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep, damage
}

// header returns the octets of the header of a record.
func headerOf(t testing.TB, fsys durable.FS, seq uint64) []byte {
	t.Helper()
	for _, name := range slices.Concat(segments(t, fsys), openSegments(t, fsys)) {
		b := slurp(t, fsys, name)
		for off := 0; off+232 <= len(b) && string(b[off:off+4]) == "MAR1"; off += int(be32(b[off+8:])) {
			if binary.BigEndian.Uint64(b[off+16:]) == seq {
				return b[off : off+232]
			}
		}
	}
	t.Fatalf("there is no record %d", seq)
	return nil
}

func openSegments(t testing.TB, fsys durable.FS) (names []string) {
	t.Helper()
	entries, err := fsys.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".seg.open") {
			names = append(names, e.Name())
		}
	}
	return names
}

// What was sealed with all means reads back, and nothing of it is in the files.
func TestEncryptedRoundTrip(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := sealing(t, fsys, master(t, testKey))
	l := open(t, fsys, opts)
	k := l.Maker()
	var raws [][]byte
	var batch []*ledger.Entry
	for i, n := range []int{0, 1, 300, 5000, 60_000, ledger.ChunkSize, ledger.ChunkSize + 1, 20 << 20} {
		raw := text(uint64(i), n)
		e := ledger.LargeMessage(delivery("sales", raw), bytes.NewReader(raw))
		if n <= ledger.ChunkSize {
			var err error
			if e, err = k.Message(delivery("sales", raw), raw); err != nil {
				t.Fatal(err)
			}
		}
		raws, batch = append(raws, raw), append(batch, e)
	}
	ev, err := k.Event(mail.Event{Type: mail.EventDrain, Drain: &mail.Drain{Session: "secret-session", Mailbox: "sales"}})
	if err != nil {
		t.Fatal(err)
	}
	out := appendOK(t, l, append(batch, ev)...)
	ref, err := k.Reference(delivery("accounts", raws[7]), out[7].ID, false)
	if err != nil {
		t.Fatal(err)
	}
	refID := appendOK(t, l, ref)[0].ID
	check := func(what string, l reads) {
		t.Helper()
		for i, raw := range raws {
			wantRaw(t, l, out[i].ID, raw)
		}
		wantRaw(t, l, refID, raws[7])
		got := collect(t, l, 0)
		if len(got) != len(raws)+2 || got[len(raws)].Event.Drain.Session != "secret-session" || got[3].Delivery.Mailbox != "sales" {
			t.Errorf("%s: %d records: %+v", what, len(got), got)
		}
	}
	check("writer", l)
	closeOK(t, l)
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	check("reader", r)
	closeOK(t, r)
	if rep, damage := judge(t, fsys, opts); len(damage) > 0 || rep.Locked > 0 || rep.Messages != uint64(len(raws)+1) {
		t.Errorf("verify: %+v, %+v", rep, damage)
	}
	for _, name := range segments(t, fsys) {
		b := slurp(t, fsys, name)
		for _, secret := range []string{"clerk-3@example.org", "secret-session", "pop.example.org", `"mailbox"`} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds %q in the clear", name, secret)
			}
		}
	}
	if n := fsys.OpenFiles(); n != 0 {
		t.Errorf("%d files are still open", n)
	}
}

// Without its key, or with another, a ledger is not opened and not changed.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	l := open(t, fsys, sealing(t, fsys, master(t, testKey)))
	raw := text(1, 1000)
	id := appendOK(t, l, message(t, raw))[0].ID
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	for what, state := range map[string]*durabletest.FS{"open": fsys.Crash(1, 1), "sealed": nil} {
		if state == nil {
			closeOK(t, l)
			state = fsys
		}
		before := len(state.Ops())
		none := options(t)
		if _, err := ledger.Open(state, none); mail.KindOf(err) != mail.Invalid || mail.HintOf(err) == "" {
			t.Errorf("%s, without a key: %v", what, err)
		}
		if _, err := ledger.Open(state, sealing(t, state, master(t, other))); mail.KindOf(err) != mail.Denied || mail.HintOf(err) == "" {
			t.Errorf("%s, with another key: %v", what, err)
		}
		for _, op := range state.Ops()[before:] {
			if op.Name != "lock" {
				t.Errorf("%s: the refusal changed something: %+v", what, op)
			}
		}
	}
	r, err := ledger.OpenReader(fsys, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Raw(t.Context(), id); mail.KindOf(err) != mail.Denied {
		t.Errorf("read without a key: %v", err)
	}
	closeOK(t, r)
	if rep, damage := judge(t, fsys, options(t)); len(damage) > 0 || rep.Locked != 1 {
		t.Errorf("verify without a key: %+v, %+v", rep, damage)
	}
	if err := fsys.Remove(keys.FileName(0)); err != nil {
		t.Fatal(err)
	}
	if _, damage := judge(t, fsys, sealing(t, fsys, master(t, testKey))); len(damage) != 1 || damage[0].Kind != ledger.FoundKey {
		t.Errorf("verify without the key file: %+v", damage)
	}
}

// Dictionary and encryption may be switched on later; what is there stays.
func TestMixedLedger(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	plain := options(t)
	coded := options(t)
	coded.Dictionary = mailDictionary(t)
	all := sealing(t, fsys, master(t, testKey))
	want := acked{}
	for i, opts := range []ledger.Options{plain, coded, all, all} {
		l := open(t, fsys, opts)
		raw := text(uint64(i), 3000)
		e, err := l.Maker().Message(delivery("sales", raw), raw)
		if err != nil {
			t.Fatal(err)
		}
		want[appendOK(t, l, e)[0].ID] = raw
		for id, raw := range want {
			wantRaw(t, l, id, raw)
		}
		closeOK(t, l)
	}
	if rep, damage := judge(t, fsys, all); len(damage) > 0 || rep.Messages != 4 {
		t.Errorf("verify: %+v, %+v", rep, damage)
	}
	var seen []string
	for id := range want {
		h := headerOf(t, fsys, id.Seq)
		seen = append(seen, fmt.Sprintf("codec %d cipher %d", h[5], h[6]))
	}
	slices.Sort(seen)
	if got := strings.Join(seen, ", "); got != "codec 1 cipher 0, codec 2 cipher 0, codec 2 cipher 1, codec 2 cipher 1" {
		t.Error(got)
	}
	// To go back would put new mail in the clear beside a key that is forgotten.
	if _, err := ledger.Open(fsys, coded); mail.KindOf(err) != mail.Invalid {
		t.Errorf("open without the key: %v", err)
	}
}

// A dictionary that is missing, or is another, is told and not guessed.
func TestDictionaryMissing(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := options(t)
	opts.Dictionary = mailDictionary(t)
	l := open(t, fsys, opts)
	raw := text(1, 3000)
	e, err := l.Maker().Message(delivery("sales", raw), raw)
	if err != nil {
		t.Fatal(err)
	}
	id := appendOK(t, l, e)[0].ID
	closeOK(t, l)
	b := dictionary.Mail()
	b[len(b)-100]++ // another dictionary of the same id
	changed, err := ledger.NewDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	for what, d := range map[string][]*ledger.Dictionary{"none": nil, "another": {changed}} {
		o := options(t)
		o.Dictionaries = d
		r, err := ledger.OpenReader(fsys, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Raw(t.Context(), id); mail.KindOf(err) != mail.NotFound || !strings.Contains(mail.HintOf(err), "6d6b0001.dict") {
			t.Errorf("%s: %v (%s)", what, err, mail.HintOf(err))
		}
		closeOK(t, r)
	}
	// An entry of another dictionary does not get in.
	o := options(t)
	o.Dictionaries = []*ledger.Dictionary{opts.Dictionary}
	l = open(t, fsys, o)
	out, err := l.Append(t.Context(), []*ledger.Entry{e, message(t, raw)})
	if err != nil || mail.KindOf(out[0].Err) != mail.Invalid || out[1].Err != nil {
		t.Errorf("append with another dictionary: %v, %+v", err, out)
	}
	wantRaw(t, l, id, raw)
	closeOK(t, l)
	if _, err := ledger.NewDictionary([]byte("no dictionary")); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("no dictionary: %v", err)
	}
}

// An erased record is gone and proven; all others read on.
func TestErase(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	opts := sealing(t, fsys, kekFile(t))
	l := open(t, fsys, opts)
	large := text(9, 2*ledger.ChunkSize+7)
	raws := [][]byte{text(1, 900), text(2, 900), text(3, 900), large}
	var ids []mail.ID
	for _, raw := range raws {
		ids = append(ids, appendOK(t, l, ledger.LargeMessage(delivery("sales", raw), bytes.NewReader(raw)))[0].ID)
	}
	ref, err := l.Maker().Reference(delivery("accounts", raws[1]), ids[1], false)
	if err != nil {
		t.Fatal(err)
	}
	refID := appendOK(t, l, ref)[0].ID
	before := headerOf(t, fsys, ids[1].Seq)
	r, err := ledger.OpenReader(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i, raw := range raws { // the keys are in memory now
		wantRaw(t, l, ids[i], raw)
	}
	done, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{ids[1], ids[3]}, Reason: "request 17", By: "officer@example.org"})
	if err != nil || done.Erased != 4 {
		t.Fatalf("erase: %+v, %v", done, err)
	}
	gone := func(what string, l reads) {
		t.Helper()
		for _, id := range []mail.ID{ids[1], ids[3], refID} {
			if _, err := l.Raw(t.Context(), id); mail.KindOf(err) != mail.NotFound || !errors.Is(err, keys.ErrErased) {
				t.Errorf("%s: raw of the erased %s: %v", what, id, err)
			}
		}
		wantRaw(t, l, ids[0], raws[0])
		wantRaw(t, l, ids[2], raws[2])
		var erased, orders int
		for _, rec := range collect(t, l, 0) {
			if rec.Erased {
				erased++
			}
			if rec.Event != nil && rec.Event.Erase != nil {
				orders++
			}
		}
		if erased != 2 || orders != 2 {
			t.Errorf("%s: %d records are erased, %d events tell of it", what, erased, orders)
		}
	}
	gone("writer", l)
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	gone("reader", r) // it had loaded no keys before
	closeOK(t, r)
	raw := text(5, 100)
	wantRaw(t, l, appendOK(t, l, message(t, raw))[0].ID, raw)
	// Once more is no error; what is not there is.
	if _, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{ids[1]}, Reason: "again"}); err != nil {
		t.Error(err)
	}
	for _, id := range []mail.ID{{Seq: 999}, {Partition: 2}, {Seq: 0}, {Seq: ids[3].Seq + 1}} {
		if _, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{id}}); mail.KindOf(err) != mail.NotFound {
			t.Errorf("erase %s: %v", id, err)
		}
	}
	closeOK(t, l)
	rep, damage := judge(t, fsys, opts)
	if len(damage) > 0 || rep.Erased != 4 || rep.Root.IsZero() {
		t.Errorf("verify: %+v, %+v", rep, damage)
	}
	if !bytes.Equal(before, headerOf(t, fsys, ids[1].Seq)) {
		t.Error("the header of the erased record has changed")
	}
	// A key that is gone without an order is damage.
	if _, err := keys.Erase(t.Context(), []*keys.Dir{opts.Keys}, []keys.Erasure{{First: 0, Keys: []uint32{uint32(ids[0].Seq)}}}); err != nil {
		t.Fatal(err)
	}
	if _, damage := judge(t, fsys, opts); len(damage) != 1 || damage[0].Kind != ledger.FoundErased || damage[0].Seq != ids[0].Seq {
		t.Errorf("verify after a secret erasure: %+v", damage)
	}
}

func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	fsys := durabletest.New()
	l := open(t, fsys, options(t))
	id := appendOK(t, l, message(t, text(1, 100)))[0].ID
	if _, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{id}}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("erase in a ledger without keys: %v", err)
	}
	closeOK(t, l)
	opts := sealing(t, fsys, master(t, testKey))
	l = open(t, fsys, opts)
	if _, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{id}}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("erase what is stored in the clear: %v", err)
	}
	if _, err := l.Erase(t.Context(), ledger.Order{}); mail.KindOf(err) != mail.Invalid {
		t.Errorf("erase nothing: %v", err)
	}
	sealed := appendOK(t, l, message(t, text(2, 100)))[0].ID
	if _, err := l.Erase(t.Context(), ledger.Order{Records: []mail.ID{sealed}}); mail.KindOf(err) != mail.Invalid || !errors.Is(err, keys.ErrCannotDestroy) {
		t.Errorf("erase with a source that cannot: %v", err)
	}
	wantRaw(t, l, sealed, text(2, 100))
	closeOK(t, l)
}
