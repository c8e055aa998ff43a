package threads_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/indexer/threads"
	"github.com/mailkeep/mailkeep/mail"
)

func open(t testing.TB, path string) *threads.Table {
	t.Helper()
	table, err := threads.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func empty(t testing.TB) *threads.Table { return open(t, filepath.Join(t.TempDir(), "threads")) }

func add(t testing.TB, table *threads.Table, links ...threads.Link) {
	t.Helper()
	if err := table.Add(0, 0, links...); err != nil {
		t.Fatal(err)
	}
}

// groups returns the threads of a table by their roots, over the positions given.
func groups(t testing.TB, table *threads.Table, seqs []uint64) map[uint64][]uint64 {
	t.Helper()
	out := map[uint64][]uint64{}
	for _, seq := range seqs {
		root, ok, err := table.Root(seq)
		if err != nil || !ok {
			t.Fatalf("root of %d: %v, %v", seq, ok, err)
		}
		out[root] = append(out[root], seq)
		members, more, err := table.Members(seq, 0)
		if err != nil || more {
			t.Fatalf("members of %d: %v, %v", seq, more, err)
		}
		if members[0] != root || !slices.IsSorted(members) || !slices.Contains(members, seq) {
			t.Fatalf("members of %d, whose root is %d: %v", seq, root, members)
		}
	}
	for root, seqs := range out {
		slices.Sort(seqs)
		members, _, err := table.Members(root, 0)
		if diff := cmp.Diff(seqs, members); diff != "" || err != nil {
			t.Fatalf("members of %d: %v\n%s", root, err, diff)
		}
	}
	return out
}

func link(seq uint64, id string, refs ...string) threads.Link {
	return threads.Link{Seq: seq, MessageID: id, References: refs}
}

// TestShapes tells small conversations by hand.
func TestShapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		links []threads.Link
		want  map[uint64][]uint64
	}{
		{"a reply", []threads.Link{link(5, "a"), link(7, "b", "a")}, map[uint64][]uint64{5: {5, 7}}},
		{"the reply first", []threads.Link{link(5, "b", "a"), link(7, "a")}, map[uint64][]uint64{5: {5, 7}}},
		{"strangers", []threads.Link{link(1, "a"), link(2, "b"), link(3, "c", "d")}, map[uint64][]uint64{1: {1}, 2: {2}, 3: {3}}},
		{"a root that never came", []threads.Link{link(1, "b", "ghost"), link(2, "c", "ghost")}, map[uint64][]uint64{1: {1, 2}}},
		{"a loop", []threads.Link{link(1, "a", "c"), link(2, "b", "a"), link(3, "c", "b")}, map[uint64][]uint64{1: {1, 2, 3}}},
		{"itself", []threads.Link{link(1, "a", "a")}, map[uint64][]uint64{1: {1}}},
		{"copies", []threads.Link{link(4, "a"), link(9, "a"), link(6, "a")}, map[uint64][]uint64{4: {4, 6, 9}}},
		{"no id", []threads.Link{link(1, ""), link(2, ""), link(3, "", "a"), link(4, "a")}, map[uint64][]uint64{1: {1}, 2: {2}, 3: {3, 4}}},
		{"a late bridge", []threads.Link{link(1, "a"), link(2, "b"), link(3, "c", "a", "b")}, map[uint64][]uint64{1: {1, 2, 3}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := empty(t)
			var seqs []uint64
			for _, l := range tt.links {
				add(t, table, l)
				seqs = append(seqs, l.Seq)
			}
			if diff := cmp.Diff(tt.want, groups(t, table, seqs)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A model holds the sets of ids in the plainest way.
type model map[string]string

func (m model) root(id string) string {
	for m[id] != "" {
		id = m[id]
	}
	return id
}

func (m model) tie(a, b string) {
	if a, b = m.root(a), m.root(b); a != b {
		m[a] = b
	}
}

func (m model) groups(links []threads.Link) map[uint64][]uint64 {
	sets := map[string][]uint64{}
	for _, l := range links {
		r := m.root(l.MessageID)
		sets[r] = append(sets[r], l.Seq)
	}
	out := map[uint64][]uint64{}
	for _, seqs := range sets {
		slices.Sort(seqs)
		out[seqs[0]] = seqs
	}
	return out
}

// TestAnyOrder gives random conversations in random orders and batches, some
// links more than once, and wants what the model says each time.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		sets, links, seqs := model{}, []threads.Link(nil), []uint64(nil)
		for i := range 150 {
			l := link(uint64(i), fmt.Sprint("id", rnd.IntN(140)))
			for range rnd.IntN(3) {
				ref := fmt.Sprint("id", rnd.IntN(400))
				l.References = append(l.References, ref)
				sets.tie(l.MessageID, ref)
			}
			links, seqs = append(links, l), append(seqs, l.Seq)
		}
		want := sets.groups(links)
		for range 2 {
			table := empty(t)
			rnd.Shuffle(len(links), func(i, j int) { links[i], links[j] = links[j], links[i] })
			for batch := range slices.Chunk(links, 40) {
				add(t, table, batch...)
				add(t, table, batch[:rnd.IntN(len(batch))]...)
			}
			if diff := cmp.Diff(want, groups(t, table, seqs)); diff != "" {
				t.Fatalf("seed %d: (-want +got)\n%s", seed, diff)
			}
		}
	}
}

// TestSubjects tells when replies without references are tied.
func TestSubjects(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	at := func(seq uint64, after time.Duration, l threads.Link) threads.Link {
		l.Seq, l.Date, l.MessageID = seq, noon.Add(after), fmt.Sprint("id", seq)
		if l.Subject == "" {
			l.Subject = "budget"
		}
		if l.People == nil {
			l.People = []string{"ann@example.org", "bob@example.org"}
		}
		return l
	}
	first, reply := threads.Link{}, threads.Link{Reply: true}
	tests := []struct {
		name  string
		links []threads.Link
		tied  bool
	}{
		{"a reply", []threads.Link{at(1, 0, first), at(2, day, reply)}, true},
		{"a reply that comes first", []threads.Link{at(2, 0, first), at(1, day, reply)}, true},
		{"no prefix", []threads.Link{at(1, 0, first), at(2, day, first)}, false},
		{"a reply before the message", []threads.Link{at(1, day, first), at(2, 0, reply)}, false},
		{"after 30 days", []threads.Link{at(1, 0, first), at(2, 30*day, reply)}, true},
		{"after 31 days", []threads.Link{at(1, 0, first), at(2, 31*day, reply)}, false},
		{"nobody in common", []threads.Link{at(1, 0, first), at(2, day, threads.Link{Reply: true, People: []string{"eve@example.org"}})}, false},
		{"one in common", []threads.Link{at(1, 0, first), at(2, day, threads.Link{Reply: true, People: []string{"eve@example.org", "bob@example.org"}})}, true},
		{"another subject", []threads.Link{at(1, 0, first), at(2, day, threads.Link{Reply: true, Subject: "budgets"})}, false},
		{"it says to what", []threads.Link{at(1, 0, first), at(2, day, threads.Link{Reply: true, References: []string{"else"}})}, false},
		{"two replies", []threads.Link{at(1, 0, reply), at(2, day, reply)}, true},
	}
	for _, tt := range tests {
		for _, turned := range []bool{false, true} {
			table := empty(t)
			links := slices.Clone(tt.links)
			if turned {
				slices.Reverse(links)
			}
			for _, l := range links {
				add(t, table, l)
			}
			if tied := len(groups(t, table, []uint64{1, 2})) == 1; tied != tt.tied {
				t.Errorf("%s, turned %v: tied %v", tt.name, turned, tied)
			}
		}
	}
}

// TestCrowdedSubject keeps the cost of a subject that everybody uses bounded.
func TestCrowdedSubject(t *testing.T) {
	t.Parallel()
	table := empty(t)
	var links []threads.Link
	for i := range uint64(2000) {
		links = append(links, threads.Link{Seq: i, Reply: true, Subject: "hello", Date: time.Unix(int64(i), 0), People: []string{"ann@example.org"}})
	}
	add(t, table, links...)
	if members, more, err := table.Members(1999, 50); err != nil || len(members) != 50 || !more {
		t.Errorf("%d members, more %v, %v", len(members), more, err)
	}
}

// TestSubjectOfOthers passes over mails of the same subject that are nearer in
// time, and between other people.
func TestSubjectOfOthers(t *testing.T) {
	t.Parallel()
	table := empty(t)
	talk := func(seq uint64, reply bool, people ...string) threads.Link {
		return threads.Link{Seq: seq, Subject: "budget", Reply: reply, Date: time.Unix(int64(seq)*3600, 0), People: people}
	}
	add(t, table, talk(1, false, "ann", "bob"), talk(2, false, "eve"), talk(3, true, "eve", "dan"), talk(4, true, "bob"))
	if diff := cmp.Diff(map[uint64][]uint64{1: {1, 4}, 2: {2, 3}}, groups(t, table, []uint64{1, 2, 3, 4})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestLongChain ties each message to the one before alone, in both directions of
// time: no way to a root may grow with the thread.
func TestLongChain(t *testing.T) {
	t.Parallel()
	const n = 3000
	for _, backwards := range []bool{false, true} {
		table := empty(t)
		links := make([]threads.Link, n)
		for i := range links {
			links[i] = link(uint64(i), fmt.Sprint(i), fmt.Sprint(i-1))
		}
		if backwards {
			slices.Reverse(links)
		}
		add(t, table, links...)
		for _, seq := range []uint64{0, 1, n / 2, n - 1} {
			if root, ok, err := table.Root(seq); root != 0 || !ok || err != nil {
				t.Errorf("backwards %v: root of %d: %d, %v, %v", backwards, seq, root, ok, err)
			}
		}
	}
}

func TestForgetAndRelink(t *testing.T) {
	t.Parallel()
	table := empty(t)
	add(t, table, link(1, "a"), link(2, "b", "a"), link(3, "c", "b"))
	if err := table.Forget(1, 99); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := table.Root(1); ok || err != nil {
		t.Errorf("a forgotten message is there: %v", err)
	}
	if diff := cmp.Diff(map[uint64][]uint64{2: {2, 3}}, groups(t, table, []uint64{2, 3})); diff != "" {
		t.Error(diff)
	}
	add(t, table, link(3, "elsewhere")) // a later parser reads it otherwise
	if diff := cmp.Diff(map[uint64][]uint64{2: {2}, 3: {3}}, groups(t, table, []uint64{2, 3})); diff != "" {
		t.Error(diff)
	}
	if root, ok, err := table.RootOf("a"); root != 2 || !ok || err != nil {
		t.Errorf("the root of a is %d, %v, %v", root, ok, err)
	}
	if _, ok, err := table.RootOf("never seen"); ok || err != nil {
		t.Errorf("a thread that is not there: %v, %v", ok, err)
	}
	roots, err := table.Roots([]uint64{3, 2, 77})
	if diff := cmp.Diff([]uint64{3, 2, 77}, roots); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestReopen wants cursor and links to outlive the table's process, and a cursor
// that never goes back.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "threads")
	table := open(t, path)
	if err := table.Add(0, 12, link(5, "a"), link(7, "b", "a")); err != nil {
		t.Fatal(err)
	}
	if err := table.Add(0, 9); err != nil || table.Position() != 12 {
		t.Fatalf("position %d: %v", table.Position(), err)
	}
	if err := table.Add(13, 20, link(15, "c")); err != nil || table.Position() != 12 {
		t.Fatalf("position %d after a gap: %v", table.Position(), err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if err := table.Add(12, 13); mail.KindOf(err) != mail.Temporary {
		t.Errorf("a closed table took links: %v", err)
	}
	table = open(t, path)
	if table.Position() != 12 {
		t.Errorf("position %d", table.Position())
	}
	if diff := cmp.Diff(map[uint64][]uint64{5: {5, 7}}, groups(t, table, []uint64{5, 7})); diff != "" {
		t.Error(diff)
	}
	if err := table.Reset(); err != nil || table.Position() != 0 {
		t.Errorf("after a reset: position %d, %v", table.Position(), err)
	}
	if _, ok, err := table.Root(5); ok || err != nil {
		t.Errorf("after a reset a message is there: %v", err)
	}
}

// TestDamage damages the file in many ways. Whatever is opened afterwards is
// empty or answers, or says that it is damaged and can be reset.
func TestDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "threads")
	table := open(t, path)
	for i := range uint64(300) {
		add(t, table, link(i, fmt.Sprint(i), fmt.Sprint(i/2)))
	}
	if err := table.Add(0, 300); err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	damages := map[string][]byte{
		"empty": {}, "no database": []byte("this is text\n"), "cut": sound[:len(sound)/2/page*page], "cut inside of a page": sound[:len(sound)/3],
	}
	for off := 2 * page; off < len(sound); off += page {
		b := slices.Clone(sound)
		clear(b[off : off+page/2])
		damages[fmt.Sprint("page ", off/page)] = b
	}
	for name, b := range damages {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		table, err := threads.Open(path, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, _, err = table.Root(7)
		err = errors.Join(err, table.Add(300, 301, link(300, "300", "0")))
		if err != nil && mail.KindOf(err) != mail.Corrupt && mail.KindOf(err) != mail.Temporary {
			t.Errorf("%s: %v", name, err)
		}
		if err := table.Reset(); err != nil {
			t.Errorf("%s: reset: %v", name, err)
		}
		add(t, table, link(1, "a"))
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkAdd links a million messages in batches of the size that the index
// commits; each refers to two others, as replies do.
func BenchmarkAdd(b *testing.B) {
	const total, batch = 1_000_000, 500
	for b.Loop() {
		table := empty(b)
		rnd := rand.New(rand.NewPCG(1, 1))
		began := time.Now()
		links := make([]threads.Link, batch)
		for at := uint64(0); at < total; at += batch {
			for i := range links {
				seq := at + uint64(i)
				links[i] = threads.Link{Seq: seq, MessageID: fmt.Sprintf("%d@example.org", seq), Subject: fmt.Sprint("subject ", seq/4),
					Date: time.Unix(int64(seq)*60, 0), People: []string{fmt.Sprint(seq%1000, "@example.org"), "bob@example.org"}}
				if seq%4 != 0 {
					parent := seq - 1 - rnd.Uint64N(min(seq, 3))
					links[i].References = []string{fmt.Sprintf("%d@example.org", seq-seq%4), fmt.Sprintf("%d@example.org", parent)}
				}
			}
			if err := table.Add(at, at+batch, links...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(total/time.Since(began).Seconds(), "links/s")
	}
}
