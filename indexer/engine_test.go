package indexer

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
)

// The environment of a child process that indexes until it is killed.
const childDir = "MAILKEEP_INDEXER_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	if dir := os.Getenv(memoryDir); dir != "" {
		os.Exit(indexSmall(dir))
	}
	os.Exit(m.Run())
}

const (
	crashRecords = 3000
	crashShard   = 400
)

// child indexes the corpus in small batches and says after each how far it is.
func child(dir string) int {
	l := corpus(crashRecords, 9)
	x, err := Open(Options{Dir: dir, BatchBytes: 4 << 10, ShardDocs: crashShard, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	// Shards are sealed while the next are filled.
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	err = x.Follow(ctx, l, parseJSON, headerDate, func(c mail.Cursor) {
		os.Stdout.WriteString(strconv.FormatUint(c.Position, 10) + "\n")
		if c.Position == l.Size() {
			stop()
		}
	})
	if err != nil {
		os.Stderr.WriteString(err.Error())
		return 1
	}
	return 0 // killed, too, in a way: without Close
}

// TestKilledWhileIndexing kills an indexing process at random moments. Nothing
// that was reported may be lost, nothing may be there twice or too early, and
// the index that comes of it is the one that an undisturbed process makes.
func TestKilledWhileIndexing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := corpus(crashRecords, 9)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	kills, reported, last := 0, uint64(0), uint64(0)
	want := sample(10, 4)
	if s := os.Getenv("MAILKEEP_KILLS"); s != "" { // make crash
		var err error
		if want, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for kills < want {
		at, died := runChild(t, dir, r)
		reported = max(reported, at)
		if !died { // it came to the end: begin again, the moments so far count
			if err := Drop(dir); err != nil {
				t.Fatal(err)
			}
			reported = 0
			continue
		}
		kills++
		t.Logf("kill %d at %d", kills, at)
		x := openIndex(t, dir)
		if x.Position() < reported {
			t.Fatalf("kill %d: position %d, but %d was reported", kills, x.Position(), reported)
		}
		reported = x.Position()
		last = max(last, reported)
		if d := cmp.Diff(searchable(l, x.Position()), documents(t, x)); d != "" {
			t.Fatalf("kill %d: documents at %d (-want +got):\n%s", kills, x.Position(), d)
		}
		// Not closed cleanly from the next process's view, either.
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if kills%2 == 0 {
			os.Remove(filepath.Join(x.serving.last().dir, cleanFile))
		}
	}
	if last == 0 && kills >= 10 { // of few, each may come before the first commit
		t.Error("no kill hit a process that had committed anything")
	}
	x := openIndex(t, dir)
	catchUp(t, x, l)
	if got, want := summary(t, x), summary(t, indexed(t, l)); got != want {
		t.Errorf("after %d kills %+v, want %+v", kills, got, want)
	}
}

// runChild runs the child until a random moment, mostly after its first report, and
// returns the last position it reported and whether it was killed.
func runChild(t *testing.T, dir string, r *rand.Rand) (reported uint64, died bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	if r.IntN(4) > 0 { // else at any time, that of opening included
		first := make([]byte, 1)
		if _, err := io.ReadFull(out, first); err == nil {
			all.Write(first)
		}
	}
	kill := time.AfterFunc(time.Duration(r.IntN(150))*time.Millisecond, func() { cmd.Process.Kill() })
	defer kill.Stop()
	all.ReadFrom(out)
	err = cmd.Wait()
	if cmd.ProcessState.Exited() && err != nil {
		t.Fatalf("child: %v: %s", err, stderr.String())
	}
	lines := strings.Fields(all.String())
	if len(lines) > 0 {
		if reported, err = strconv.ParseUint(lines[len(lines)-1], 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return reported, !cmd.ProcessState.Exited()
}

// liveDir is where the first shard of an index is, as long as nothing befell it.
func liveDir(dir string) string { return filepath.Join(dir, dirName(1)) }

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(liveDir(dir), engineDir, "store", "*.zap"))
	if err != nil || len(names) == 0 {
		t.Fatalf("segments %v, error %v", names, err)
	}
	return names
}

func flip(t *testing.T, name string, off int64) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[off] ^= 0x40
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedIndexIsSetAsideAndRebuilt(t *testing.T) {
	t.Parallel()
	l := corpus(200, 8)
	want := summary(t, indexed(t, l))
	for name, damage := range map[string]func(t *testing.T, dir string){
		"flipped bit in a segment": func(t *testing.T, dir string) { flip(t, segmentFiles(t, dir)[0], 500) },
		"flipped checksum": func(t *testing.T, dir string) {
			info, err := os.Stat(segmentFiles(t, dir)[0])
			if err != nil {
				t.Fatal(err)
			}
			flip(t, segmentFiles(t, dir)[0], info.Size()-1)
		},
		"cut segment":     func(t *testing.T, dir string) { os.Truncate(segmentFiles(t, dir)[0], 100) },
		"missing segment": func(t *testing.T, dir string) { os.Remove(segmentFiles(t, dir)[0]) },
		"missing store":   func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(liveDir(dir), engineDir, "store")) },
		"missing meta":    func(t *testing.T, dir string) { os.Remove(filepath.Join(liveDir(dir), engineDir, "index_meta.json")) },
		"garbled meta": func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(liveDir(dir), engineDir, "index_meta.json"), []byte("{"), 0o600)
		},
		"garbled root": func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(liveDir(dir), engineDir, "store", "root.bolt"), bytes.Repeat([]byte("x"), 1<<16), 0o600)
		},
		"empty directory": func(t *testing.T, dir string) {
			os.RemoveAll(filepath.Join(liveDir(dir), engineDir))
			os.Mkdir(filepath.Join(liveDir(dir), engineDir), 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := openIndex(t, dir)
			catchUp(t, x, l)
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, dir)
			if err := os.Remove(filepath.Join(liveDir(dir), cleanFile)); err != nil {
				t.Fatal(err)
			}
			x = openIndex(t, dir)
			if x.Position() != 0 {
				t.Fatalf("a damaged index was opened at %d", x.Position())
			}
			// Bleve itself goes back to an older snapshot if a file of the
			// newest does not open; that one is sound, and made up for.
			older := name == "cut segment" || name == "missing segment"
			if _, err := os.Stat(liveDir(dir) + asideSuffix); err != nil && !older {
				t.Errorf("not set aside: %v", err)
			}
			catchUp(t, x, l)
			if got := summary(t, x); got != want {
				t.Errorf("rebuilt %+v, want %+v", got, want)
			}
		})
	}
}

func TestOneDamagedShardIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var last string
	for range 3 {
		x := openIndex(t, dir)
		last = x.serving.last().dir
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(last, engineDir, "index_meta.json"))
	}
	openIndex(t, dir)
	got, _ := filepath.Glob(filepath.Join(dir, "*"+asideSuffix))
	if want := []string{last + asideSuffix}; !slices.Equal(got, want) {
		t.Errorf("set aside: %v, want %v", got, want)
	}
}

func TestIndexOfAnotherFormatIsRebuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := openIndex(t, dir)
	catchUp(t, x, corpus(10, 1))
	x.serving.format = formatVersion + 1 // a newer program's
	if err := x.save(); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x = openIndex(t, dir); x.Position() != 0 {
		t.Errorf("opened at %d", x.Position())
	}
}

func TestOpenIndexIsResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := corpus(100, 1)
	x := openIndex(t, dir)
	catchUp(t, x, l)
	want := summary(t, x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if _, err := x.Search(t.Context(), mail.SearchRequest{}, 0, nil); err == nil {
		t.Error("a closed index answers")
	}
	if err := x.CatchUp(t.Context(), l, parseJSON, headerDate, nil); err == nil {
		t.Error("a closed index follows")
	}
	if got := summary(t, openIndex(t, dir)); got != want {
		t.Errorf("reopened %+v, want %+v", got, want)
	}
}

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := openIndex(t, dir)
	_, err := lockDir(dir, 0)
	if mail.KindOf(err) != mail.InUse || mail.HintOf(err) == "" {
		t.Errorf("error %v, hint %q", err, mail.HintOf(err))
	}
	if err := Drop(dir); mail.KindOf(err) != mail.InUse {
		t.Errorf("Drop of an open index: %v", err)
	}
	// One that is about to stop is waited for.
	done := make(chan error, 1)
	go func() {
		y, err := Open(Options{Dir: dir})
		if err == nil {
			err = y.Close()
		}
		done <- err
	}()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Open while another closes: %v", err)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := corpus(10, 1)
	x := openIndex(t, dir)
	catchUp(t, x, l)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Drop(dir); err != nil {
		t.Fatal(err)
	}
	if x = openIndex(t, dir); x.Position() != 0 || len(documents(t, x)) != 0 {
		t.Errorf("after Drop: position %d", x.Position())
	}
	if err := Drop(filepath.Join(dir, "nothing")); err != nil {
		t.Errorf("Drop of nothing: %v", err)
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: blocked}); err == nil {
		t.Error("a file was opened as an index")
	}
}
