package indexer

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// A talk is three conversations over seven messages; that of 6 goes by subject.
func talk() *fakeLedger {
	ann := []mail.Address{{Addr: "ann@example.org"}}
	l := newLedger()
	for i, m := range []mail.Message{
		{MessageID: "b@example.org", References: []string{"a@example.org"}, Subject: "late"}, // its parent comes behind it
		{MessageID: "x@example.org", Subject: "alone"},
		{MessageID: "a@example.org", Subject: "early"},
		{MessageID: "c@example.org", References: []string{"a@example.org", "b@example.org"}, Subject: "last"},
		{Subject: "no id"},
		{MessageID: "plan@example.org", Subject: "Plan", SubjectBase: "plan", From: ann},
		{Subject: "Re: Plan", SubjectBase: "plan", From: ann},
	} {
		m.DateHeader = epoch.AddDate(0, 0, i)
		l.add("box", &m)
	}
	return l
}

func TestThreadsAreSearched(t *testing.T) {
	t.Parallel()
	l := talk()
	x := indexed(t, l)
	for query, want := range map[string][]uint64{
		"thread:0-3":                   {3, 2, 0},
		"thread:<b@example.org>":       {3, 2, 0},
		"thread:a@example.org early":   {2},
		"thread:1":                     {1},
		"thread:4":                     {4},
		"thread:6":                     {6, 5},
		"thread:1-3":                   nil, // of another partition
		"thread:never@example.org":     nil,
		"thread:99":                    nil,
		"-thread:0-3 -thread:0-6 late": nil,
	} {
		if diff := cmp.Diff(want, find(t, x, l, query)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", query, diff)
		}
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: ""}, l.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint64]uint64{}
	for _, h := range a.Hits {
		got[h.ID.Seq] = h.Thread.Seq
	}
	if diff := cmp.Diff(map[uint64]uint64{0: 0, 1: 1, 2: 0, 3: 0, 4: 4, 5: 5, 6: 5}, got); diff != "" {
		t.Errorf("threads of hits: (-want +got)\n%s", diff)
	}
}

// TestLostThreads removes and damages the table alone: it is filled again, and
// the documents stay as they are.
func TestLostThreads(t *testing.T) {
	t.Parallel()
	l := talk()
	dir := t.TempDir()
	x := openIndex(t, dir)
	catchUp(t, x, l)
	before, err := x.Summary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, threadsFile)
	for _, harm := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.WriteFile(path, []byte("not a table"), 0o600) },
	} {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if err := harm(); err != nil {
			t.Fatal(err)
		}
		x = openIndex(t, dir)
		if x.threads.Position() != 0 {
			t.Fatalf("the table is at %d", x.threads.Position())
		}
		catchUp(t, x, l)
		if diff := cmp.Diff([]uint64{3, 2, 0}, find(t, x, l, "thread:0-3")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		after, err := x.Summary(t.Context())
		if err != nil || after != before {
			t.Errorf("the documents changed: %v, %v, %v", before, after, err)
		}
	}
}

// TestThreadsLostMeanwhile: the table is emptied while the follower indexes, because
// somebody else saw that it is damaged. The follower fills it before it goes on.
func TestThreadsLostMeanwhile(t *testing.T) {
	t.Parallel()
	l := talk()
	x := opened(t, Options{Linger: time.Millisecond})
	await, end := follow(t, x, l)
	await(l.Size())
	if err := x.threads.Reset(); err != nil {
		t.Fatal(err)
	}
	r := l.add("box", &mail.Message{MessageID: "d@example.org", References: []string{"c@example.org"}})
	await(r.Next)
	end()
	if diff := cmp.Diff([]uint64{r.ID.Seq, 3, 2, 0}, find(t, x, l, "thread:0-3")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestLinksBeginNoShard: what is read again for the threads alone is not of the shard
// that grows, whose month is that of its own first record.
func TestLinksBeginNoShard(t *testing.T) {
	t.Parallel()
	l := talk()
	x := indexed(t, l)
	e := x.serving.last().engine
	e.begun = 0 // as of a shard that has just begun
	if err := x.threads.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := x.linkUp(t.Context(), feed{l, parseJSON, headerDate}.pump(), e); err != nil {
		t.Fatal(err)
	}
	if e.begun != 0 || x.threads.Position() != l.Size() {
		t.Errorf("begun at %d, the threads are at %d", e.begun, x.threads.Position())
	}
}

// TestErasedLeavesItsThread destroys the message that holds a thread together:
// the others stay tied, and it is gone from them.
func TestErasedLeavesItsThread(t *testing.T) {
	t.Parallel()
	l := talk()
	x := indexed(t, l)
	l.append(mail.Record{Kind: mail.KindEvent, Event: &mail.Event{Erase: &mail.Erase{Done: true, Records: []mail.ID{{Seq: 0}}}}})
	catchUp(t, x, l)
	if diff := cmp.Diff([]uint64{3, 2}, find(t, x, l, "thread:0-3")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok, err := x.threads.Root(0); ok || err != nil {
		t.Errorf("the erased message is in a thread: %v", err)
	}
}
