package indexer

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// destroy erases a message of the ledger and tells of it, as the ledger does.
func (l *fakeLedger) destroy(seqs ...uint64) {
	l.mu.Lock()
	var ids []mail.ID
	for _, seq := range seqs {
		r := &l.records[seq]
		*r = mail.Record{ID: r.ID, Kind: r.Kind, Time: r.Time, Next: r.Next, Erased: true}
		l.rawErr[seq] = mail.Errorf(mail.NotFound, "the record was erased")
		ids = append(ids, r.ID)
	}
	l.mu.Unlock()
	l.append(mail.Record{Kind: mail.KindEvent, Event: &mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids}}})
	l.append(mail.Record{Kind: mail.KindEvent, Event: &mail.Event{Type: mail.EventErase, Erase: &mail.Erase{Records: ids, Done: true}}})
}

// pumpAll indexes what l holds, and leaves the upkeep what it has to do then.
func pumpAll(t *testing.T, x *Index, l *fakeLedger) {
	t.Helper()
	p := feed{l, parseJSON, headerDate}.pump()
	p.target = l.Size()
	if err := x.pump(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// onDisk reports whether a word is in a file of the index.
func onDisk(t *testing.T, dir, word string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		found = found || bytes.Contains(b, []byte(word))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestErasedRecordsLeaveTheIndex(t *testing.T) {
	t.Parallel()
	l := corpus(200, 4)
	secret := l.add("sales", &mail.Message{Subject: "xyzzysecret", From: people[:1]})
	l.append(mail.Record{Kind: mail.KindReference, Of: secret.ID, Delivery: delivery("board", 99)})
	for range 100 {
		l.add("sales", &mail.Message{Text: "hello"})
	}
	l.append(mail.Record{Kind: mail.KindReference, Of: secret.ID, Delivery: delivery("legal", 99)})
	late := l.add("sales", &mail.Message{Subject: "xyzzylate"})
	x, dir := sharded(t, l, 60)
	if got := find(t, x, l, "xyzzysecret"); len(got) != 3 {
		t.Fatalf("before: %v", got)
	}
	for _, word := range []string{"xyzzysecret", "xyzzylate"} {
		if !onDisk(t, dir, word) {
			t.Fatalf("the files do not show %s: what they hold cannot be told from them", word)
		}
	}
	l.destroy(secret.ID.Seq, late.ID.Seq)

	pumpAll(t, x, l) // the upkeep has not written anew yet
	want := searchable(l, l.Size())
	for _, q := range []string{"xyzzysecret", "xyzzylate"} {
		if got := find(t, x, l, q); len(got) > 0 {
			t.Errorf("%s is found in %v", q, got)
		}
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "nothing at all"}, l.Size(), nil)
	if err != nil || a.Coverage.Partly[mail.TextFailed] != 1 { // the reference in the live shard
		t.Errorf("coverage %+v, error %v", a.Coverage, err)
	}

	catchUp(t, x, l)
	checkShards(t, x, dir)
	if d := cmp.Diff(want, documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("after erasing %+v, want %+v", got, want)
	}
	if got := find(t, x, l, "mailbox:legal"); len(got) != 1 {
		t.Errorf("the reference to what was erased: %v", got)
	}
	for _, word := range []string{"xyzzysecret", "xyzzylate"} {
		if onDisk(t, dir, word) {
			t.Errorf("the index still holds %s", word)
		}
	}
}

// TestErasureSurvivesADeath: what the follower did before it died need not be
// done again for the index to be right.
func TestErasureSurvivesADeath(t *testing.T) {
	t.Parallel()
	l := corpus(200, 4)
	seq := searchable(l, 50)[3]
	x, dir := sharded(t, l, 60)
	l.destroy(seq)
	pumpAll(t, x, l)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openShards(t, dir, 60)
	if slices.Contains(documents(t, x), seq) {
		t.Error("the document is back")
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("after erasing %+v, want %+v", got, want)
	}
}

func TestRedo(t *testing.T) {
	t.Parallel()
	l := corpus(300, 4)
	x, dir := sharded(t, l, 60)
	all := searchable(l, l.Size())
	var ids []mail.ID
	for i := 0; i < len(all); i += 3 {
		ids = append(ids, mail.ID{Seq: all[i]})
	}
	better := func(ctx context.Context, rec mail.Record, r mail.Raw) (*mail.Message, error) {
		m, err := parseJSON(ctx, rec, r)
		m.Text += " reparsed"
		return m, err
	}
	ids = append(ids, mail.ID{Seq: l.Size() + 5}, mail.ID{Partition: 1, Seq: all[1]}) // not here
	if err := x.Redo(t.Context(), l, better, headerDate, ids); err != nil {
		t.Fatal(err)
	}
	checkShards(t, x, dir)
	var want []uint64
	for _, id := range ids[:len(ids)-2] {
		want = append(want, id.Seq)
	}
	got := find(t, x, l, "reparsed")
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("reparsed (-want +got):\n%s", d)
	}
	if d := cmp.Diff(all, documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
	if x.Position() != l.Size() {
		t.Errorf("position %d", x.Position())
	}
	if err := x.Redo(t.Context(), l, parseJSON, headerDate, ids); err != nil {
		t.Fatal(err)
	}
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("redone as before %+v, want %+v", got, want)
	}
}

func TestRenewedIndexTakesOver(t *testing.T) {
	t.Parallel()
	l := corpus(sample(400, 200), 4)
	x, dir := sharded(t, l, 60)
	want := summary(t, x)
	old := x.serving
	if err := x.Renew(l.Size()); err != nil {
		t.Fatal(err)
	}
	if s := x.State(); !s.Building || s.Built != 0 {
		t.Errorf("state %+v", s)
	}
	if got := summary(t, x); got != want { // it serves meanwhile
		t.Errorf("while building %+v, want %+v", got, want)
	}
	// It is built over a restart.
	if _, err := x.chore(t.Context(), feed{l, parseJSON, headerDate}, nil); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openShards(t, dir, 60)
	if s := x.State(); !s.Building || s.Built == 0 {
		t.Errorf("after a restart: %+v", s)
	}
	l.add("sales", &mail.Message{Text: "meanwhile"})
	catchUp(t, x, l)
	if x.serving.number == old.number {
		t.Error("the old generation still serves")
	}
	checkShards(t, x, dir)
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("renewed %+v, want %+v", got, want)
	}
	for _, p := range old.parts {
		if _, err := os.Stat(p.dir); err == nil {
			t.Errorf("%s of the old generation is still there", p.dir)
		}
	}
}

// TestRenewedWhileFollowed: the follower goes on with the generation that took
// over.
func TestRenewedWhileFollowed(t *testing.T) {
	t.Parallel()
	l := corpus(200, 4)
	x := openShards(t, t.TempDir(), 60)
	await, end := follow(t, x, l)
	await(l.Size())
	x.mu.RLock()
	number := x.serving.number
	x.mu.RUnlock()
	if err := x.Renew(l.Size()); err != nil {
		t.Fatal(err)
	}
	for x.State().Building {
		pause(t.Context(), 1e6)
	}
	r := l.add("sales", &mail.Message{Text: "after the change"})
	x.Hurry()
	await(r.Next)
	if got := find(t, x, l, `"after the change"`); !slices.Equal(got, []uint64{r.ID.Seq}) {
		t.Errorf("found %v", got)
	}
	end()
	if x.serving.number == number {
		t.Error("the old generation still serves")
	}
	if d := cmp.Diff(searchable(l, l.Size()), documents(t, x)); d != "" {
		t.Errorf("documents (-want +got):\n%s", d)
	}
}

// TestIndexBeyondItsLedgerIsRenewed: after an older copy of the ledger was
// restored, the index is made of that.
func TestIndexBeyondItsLedgerIsRenewed(t *testing.T) {
	t.Parallel()
	x, _ := sharded(t, corpus(300, 2), 60)
	l := corpus(150, 2)
	if err := x.Renew(l.Size()); err != nil {
		t.Fatal(err)
	}
	catchUp(t, x, l)
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("renewed %+v, want %+v", got, want)
	}
}

// TestOldLayoutIsAdopted: before there were shards, the engine was in the index
// directory itself.
func TestOldLayoutIsAdopted(t *testing.T) {
	t.Parallel()
	l := corpus(100, 2)
	dir := t.TempDir()
	x := openIndex(t, dir)
	catchUp(t, x, l)
	want := summary(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{engineDir, cleanFile} {
		if err := os.Rename(filepath.Join(liveDir(dir), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, manifestFile)); err != nil {
		t.Fatal(err)
	}
	x = openIndex(t, dir)
	if got := summary(t, x); got != want || x.Position() != l.Size() {
		t.Errorf("adopted %+v at %d, want %+v", got, x.Position(), want)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	// The older program is run once more, and makes an index of its own.
	if err := os.Mkdir(filepath.Join(dir, engineDir), 0o700); err != nil {
		t.Fatal(err)
	}
	x = openIndex(t, dir)
	if got := summary(t, x); got != want {
		t.Errorf("after a step back %+v, want %+v", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, engineDir)); err == nil {
		t.Error("the index of the older program is still there")
	}
}

// TestOlderFormat: an index of a format that can be searched is, until another
// has been built; one that cannot be is dropped.
func TestOlderFormat(t *testing.T) {
	t.Parallel()
	l := corpus(200, 2)
	x, dir := sharded(t, l, 60)
	want := summary(t, x)
	x.building, x.serving.format = nil, formatVersion-1
	fresh, err := x.empty(x.serving, l.Size())
	if err != nil {
		t.Fatal(err)
	}
	x.building = fresh // as upgrade does for a format that is readable
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: "the"}, l.Size(), nil)
	if err != nil || a.Total == 0 || a.Coverage.Complete || len(a.Warnings) == 0 {
		t.Errorf("while the next is built: %+v, error %v", a, err)
	}
	catchUp(t, x, l)
	checkShards(t, x, dir)
	a, err = x.Search(t.Context(), mail.SearchRequest{Query: "the"}, l.Size(), nil)
	if err != nil || !a.Coverage.Complete || len(a.Warnings) > 0 {
		t.Errorf("afterwards: %+v, error %v", a, err)
	}
	if got := summary(t, x); got != want {
		t.Errorf("built anew %+v, want %+v", got, want)
	}
}

func TestUnreadableManifest(t *testing.T) {
	t.Parallel()
	l := corpus(100, 2)
	for name, content := range map[string]string{
		"garbled":    "{",
		"other":      `{"version":99,"serving":{}}`,
		"no end":     `{"version":1,"next":2,"serving":{"shards":[{"from":0,"to":5,"dir":"00000001"}]}}`,
		"gap":        `{"version":1,"next":3,"serving":{"shards":[{"from":0,"to":5,"dir":"00000001"},{"from":6,"dir":"00000002"}]}}`,
		"elsewhere":  `{"version":1,"next":2,"serving":{"shards":[{"from":0,"dir":"../../etc"}]}}`,
		"not yet":    `{"version":1,"next":1,"serving":{"shards":[{"from":0,"dir":"00000001"}]}}`,
		"no shards":  `{"version":1,"serving":{"shards":[]}}`,
		"sealed end": `{"version":1,"next":2,"serving":{"shards":[{"from":0,"dir":"00000001","sealed":true}]}}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, dir)
		if x.Position() != 0 {
			t.Errorf("%s: position %d", name, x.Position())
		}
		catchUp(t, x, l)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"next":3,"serving":{"number":1,"format":2,"shards":[{"from":0,"to":9,"dir":"00000001","sealed":true},{"from":9,"dir":"00000002"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			if mail.KindOf(err) != mail.Corrupt {
				t.Errorf("error %v", err)
			}
			return
		}
		for _, name := range m.names() {
			if name != "" && (filepath.Base(name) != name || filepath.Ext(name) != "") {
				t.Errorf("a shard is in %q", name)
			}
		}
		g := m.Serving.Shards
		if g[0].From != 0 || g[len(g)-1].To != 0 {
			t.Errorf("shards from %d to %d", g[0].From, g[len(g)-1].To)
		}
	})
}
