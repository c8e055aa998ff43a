package fold_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/sink/ledger/fold"
)

// lines returns the base64 of n random octets, in lines of the given length.
func lines(n, line int, end string) string {
	r := rand.New(rand.NewPCG(uint64(n), uint64(line)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	text, out := base64.StdEncoding.EncodeToString(b), ""
	for len(text) > 0 {
		k := min(line, len(text))
		out += text[:k] + end
		text = text[k:]
	}
	return out
}

// folded returns the folded form in one piece.
func folded(raw []byte) ([]byte, bool) {
	var f fold.Folder
	head, payload, ok := f.Fold(raw)
	return append(bytes.Clone(head), payload...), ok
}

func TestFold(t *testing.T) {
	t.Parallel()
	run := lines(1000, 76, "\r\n")
	first := run[:78]
	for _, tc := range []struct {
		name, raw string
		runs      int // that are folded
		saved     int // octets, but for the list
	}{
		{"nothing", "", 0, 0},
		{"text", strings.Repeat("These lines are no base64, but of one length all the same....\r\n", 20), 0, 0},
		{"words", strings.Repeat("lorem\r\nipsumdolor\r\nsita\r\nAmetConsecteturAdipiscing\r\n", 40), 0, 0},
		{"one run", run, 1, len(run) - 1000},
		{"with LF", lines(1000, 76, "\n"), 1, len(lines(1000, 76, "\n")) - 1000},
		{"no padding", lines(57*9, 76, "\r\n"), 1, 57*9/3*1*1 + 2*9},
		{"one octet in the last line", lines(57*9+1, 76, "\r\n"), 1, 57*9/3 + 3 + 2*10},
		{"between text", "Subject: a\r\n\r\n" + run + "--b--\r\n", 1, len(run) - 1000},
		{"two runs", run + "\r\n--b\r\n\r\n" + lines(600, 64, "\n") + "--b--", 2, len(run) - 1000 + len(lines(600, 64, "\n")) - 600},
		{"runs that touch", run + lines(800, 64, "\r\n"), 2, len(run) + len(lines(800, 64, "\r\n")) - 1800},
		{"from the middle of a line", run[13:], 1, len(run) - 78 - (1000 - 57)},
		{"to the middle of a line", run[:78*6+11], 1, 78*6 - 57*6},
		{"to the middle of an end", run[:78*6-1], 1, 78*5 - 57*5},
		{"one long line", lines(30_000, 40_000, "\r\n"), 1, 10_002},
		{"the longest line", lines(65532/4*3, 65532, "\n"), 1, 65532/4 + 1},
		{"a line that is too long", lines(65536/4*3, 65536, "\n"), 0, 0},
		{"a run that is too short", lines(150, 76, "\r\n"), 0, 0},
		{"short lines", lines(600, 16, "\r\n"), 0, 0},
		{"a line length of no groups", lines(600, 74, "\r\n"), 0, 0},
		{"ends that change", strings.Replace(run, first, first[:76]+"\n", 1), 1, len(run) - 78 - (1000 - 57)},
		{"an end with more", strings.Replace(run, first, first[:76]+" \r\n", 1), 1, len(run) - 78 - (1000 - 57)},
		{"unused bits that are set", strings.Repeat(run[:78], 5) + "QUI=\r\n" + "QUJ=\r\n", 1, 78*5 - 57*5 + 6 - 2},
		{"only unused bits that are set", strings.Repeat(run[:78], 5) + "QR==\r\n", 1, 78*5 - 57*5},
		{"too much padding", strings.Repeat(run[:78], 5) + "Q===\r\n", 1, 78*5 - 57*5},
		{"padding within", strings.Repeat(run[:78], 5) + "QQ=A\r\n", 1, 78*5 - 57*5},
		{"a CR within", strings.Repeat(run[:78], 5) + "QU\rI\r\n", 1, 78*5 - 57*5},
		{"the alphabet of URLs", strings.NewReplacer("+", "-", "/", "_").Replace(lines(3000, 76, "\r\n")[:78*30]), 0, 0},
	} {
		raw := []byte(tc.raw)
		got, ok := folded(raw)
		if ok != (tc.runs > 0) {
			t.Errorf("%s: folded %v", tc.name, ok)
		}
		if !ok {
			continue
		}
		if runs := int(binary.BigEndian.Uint32(got)); runs != tc.runs || len(raw)-len(got)+4+12*runs != tc.saved {
			t.Errorf("%s: %d runs save %d, not %d runs %d", tc.name, runs, len(raw)-len(got)+4+12*runs, tc.runs, tc.saved)
		}
		back, err := fold.Unfold(nil, got, len(raw))
		if err != nil || !bytes.Equal(back, raw) {
			t.Errorf("%s: comes back as %d octets, %v", tc.name, len(back), err)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	raw := []byte(lines(200_000, 76, "\r\n"))
	var f fold.Folder
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		f.Fold(raw)
	}
}

func BenchmarkFoldText(b *testing.B) {
	raw := []byte(strings.Repeat("These lines are no base64, but of one length all the same..\r\nand another line that is not\r\n\r\nabc def\r\n", 2000))
	var f fold.Folder
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		f.Fold(raw)
	}
}

func BenchmarkUnfold(b *testing.B) {
	raw := []byte(lines(200_000, 76, "\r\n"))
	got, _ := folded(raw)
	b.SetBytes(int64(len(raw)))
	var back []byte
	for b.Loop() {
		back, _ = fold.Unfold(back[:0], got, len(raw))
	}
}

// What is not well formed, or of another size than is expected, is refused, and
// what was there stays.
func TestUnfoldRefuses(t *testing.T) {
	t.Parallel()
	raw := []byte("Subject: a\r\n\r\n" + lines(1000, 76, "\r\n") + "end")
	good, _ := folded(raw)
	set := func(at int, with ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], with)
		return b
	}
	for _, tc := range []struct {
		name   string
		folded []byte
		size   int
	}{
		{"nothing", nil, 0},
		{"a cut count", good[:3], len(raw)},
		{"a list that is cut", good[:15], len(raw)},
		{"more runs than there is room for", set(0, 0xff, 0xff, 0xff, 0xff), len(raw)},
		{"one run more", set(3, 2), len(raw)},
		{"one run less", set(3, 0), len(raw)},
		{"a gap beyond the literals", set(4, 0, 0, 0, 0xff), len(raw)},
		{"a gap beyond all", set(4, 0xff, 0xff, 0xff, 0xff), len(raw)},
		{"an empty run", set(8, 0, 0, 0, 0), len(raw)},
		{"a longer run", set(8, 0, 0, 3, 0xe9), len(raw)},
		{"the longest run", set(8, 0xff, 0xff, 0xff, 0xff), len(raw)},
		{"no line", set(12, 0, 0), len(raw)},
		{"lines of no groups", set(12, 0, 75), len(raw)},
		{"longer lines", set(12, 0, 0xff), len(raw)},
		{"no end", set(14, 0), len(raw)},
		{"an unknown end", set(14, 3), len(raw)},
		{"the other end", set(14, 1), len(raw)},
		{"reserved bits", set(15, 1), len(raw)},
		{"one octet less", good[:len(good)-1], len(raw)},
		{"one octet more", append(bytes.Clone(good), 0), len(raw)},
		{"a smaller size", good, len(raw) - 1},
		{"a larger size", good, len(raw) + 1},
		{"no size", good, 0},
	} {
		if got, err := fold.Unfold([]byte("kept"), tc.folded, tc.size); err == nil || string(got) != "kept" {
			t.Errorf("%s: %d octets, %v", tc.name, len(got), err)
		}
	}
	if got, err := fold.Unfold([]byte("kept"), good, len(raw)); err != nil || string(got) != "kept"+string(raw) {
		t.Errorf("the good one: %d octets, %v", len(got), err)
	}
}

// The example in docs/archive-format.md is one.
func TestDocumented(t *testing.T) {
	t.Parallel()
	const example = "    00000001 00000005 00000008 0008 02 00\n    48693a0d0a 4279652e0d0a 6d61696c6b656570\n"
	doc, err := os.ReadFile("../../../docs/archive-format.md")
	if err != nil || !strings.Contains(string(doc), example) {
		t.Fatalf("the example is not there: %v", err)
	}
	octets, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "").Replace(example))
	if err != nil {
		t.Fatal(err)
	}
	const want = "Hi:\r\nbWFpbGtl\r\nZXA=\r\nBye.\r\n"
	if got, err := fold.Unfold(nil, octets, len(want)); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// The shortest run that is worth it is found wherever it stands, one that is
// shorter nowhere.
func TestShortestRun(t *testing.T) {
	t.Parallel()
	least, less := lines(189, 64, "\n"), lines(186, 64, "\n")
	if len(least) != 256 || len(less) != 252 {
		t.Fatalf("%d and %d octets", len(least), len(less))
	}
	if _, ok := folded([]byte(least)); !ok {
		t.Fatal("the run alone was not found")
	}
	for n := range 800 {
		front := strings.Repeat("A word.\n", n/8) + strings.Repeat(".", n%8)[:max(n%8-1, 0)] + "\n"
		if _, ok := folded([]byte(front + least + strings.Repeat("more ", n%7))); !ok {
			t.Fatalf("the run behind %d octets was not found", len(front))
		}
		if _, ok := folded([]byte(front + less + strings.Repeat("more ", 20))); ok {
			t.Fatalf("a run that is too short was folded behind %d octets", len(front))
		}
		if got, _ := folded([]byte(front + less + lines(300, 60, "\r\n"))); len(got) == 0 || got[3] != 1 {
			t.Fatalf("the run behind %d octets and a short one was not found", len(front))
		}
	}
}

// What looks like base64 and is none, of any shape, is passed over in time that
// grows no faster than its length.
func TestFoldIsLinear(t *testing.T) {
	t.Parallel()
	const n = 2 << 20
	for name, raw := range map[string][]byte{
		"no line":     bytes.Repeat([]byte("A"), n),
		"one line":    append(bytes.Repeat([]byte("A"), 8*n), '\n'),
		"empty lines": bytes.Repeat([]byte("\n"), n),
		"short lines": bytes.Repeat([]byte("AAAA\n"), n/5),
		"short runs":  bytes.Repeat([]byte(lines(141, 64, "\n")+"\n"), n/198),
		"long lines":  bytes.Repeat(append(bytes.Repeat([]byte("A"), 65532), '='), n/65533),
	} {
		start := time.Now()
		if _, ok := folded(raw); ok {
			t.Errorf("%s: folded", name)
		}
		if took := time.Since(start); took > 15*time.Second { // it is 0.05 s at most
			t.Errorf("%s: took %v", name, took)
		}
	}
}

// A Folder forgets what it folded before.
func TestFolderAgain(t *testing.T) {
	t.Parallel()
	var f fold.Folder
	for i := range 20 {
		raw := []byte(strings.Repeat("text ", i) + lines(300*(1+(i*7)%20), 64, "\n") + "\nend")
		if _, _, ok := f.Fold([]byte("no base64 at all")); ok {
			t.Fatal("text was folded")
		}
		head, payload, ok := f.Fold(raw)
		if !ok {
			t.Fatalf("%d octets were not folded", len(raw))
		}
		back, err := fold.Unfold(nil, append(bytes.Clone(head), payload...), len(raw))
		if err != nil || !bytes.Equal(back, raw) {
			t.Fatalf("%d octets come back as %d, %v", len(raw), len(back), err)
		}
	}
}

// FuzzFold folds arbitrary octets, and some base64 among them: they come back.
func FuzzFold(f *testing.F) {
	f.Add([]byte("Subject: a\r\n\r\n"), []byte(lines(400, 76, "\r\n")), 3, byte('='))
	f.Add([]byte{}, []byte(lines(400, 64, "\n")), 390, byte('\r'))
	f.Add([]byte("x"), []byte(lines(301, 24, "\n")), 400, byte('\n'))
	f.Fuzz(func(t *testing.T, text, run []byte, at int, with byte) {
		raw := append(bytes.Clone(text), bytes.Repeat(run, 2)...)
		if len(raw) > 0 {
			raw[int(uint(at)%uint(len(raw)))] = with
		}
		got, ok := folded(raw)
		if !ok {
			return
		}
		if len(got) >= len(raw) {
			t.Fatalf("%d octets are folded to %d", len(raw), len(got))
		}
		back, err := fold.Unfold(nil, got, len(raw))
		if err != nil || !bytes.Equal(back, raw) {
			t.Fatalf("%d octets come back as %d, %v", len(raw), len(back), err)
		}
	})
}

// FuzzUnfold unfolds arbitrary octets: they are as many as was said, or refused.
// What was unfolded is what a run-by-run reader of the format makes of it.
func FuzzUnfold(f *testing.F) {
	for _, raw := range []string{lines(400, 76, "\r\n"), "a" + lines(300, 64, "\n") + "b" + lines(301, 40, "\r\n") + "c"} {
		got, _ := folded([]byte(raw))
		f.Add(got, len(raw))
	}
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4, 2, 0}, 1<<20)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		size = int(uint(size) % (1 << 20))
		got, err := fold.Unfold(nil, b, size)
		if err != nil {
			if len(got) != 0 {
				t.Fatalf("refused with %d octets", len(got))
			}
			return
		}
		if len(got) != size || !bytes.Equal(got, plainly(b)) {
			t.Fatalf("%d octets of %d", len(got), size)
		}
	})
}

// plainly unfolds what is well formed, as docs/archive-format.md says it.
func plainly(b []byte) (out []byte) {
	n := int(binary.BigEndian.Uint32(b))
	list, data := b[4:4+12*n], b[4+12*n:]
	literals := len(data)
	for i := range n {
		literals -= int(binary.BigEndian.Uint32(list[12*i+4:]))
	}
	text, payload := data[:literals], data[literals:]
	for ; n > 0; n-- {
		gap, octets := binary.BigEndian.Uint32(list), binary.BigEndian.Uint32(list[4:])
		line, end := int(binary.BigEndian.Uint16(list[8:])), "\r\n"[2-list[10]:]
		out = append(out, text[:gap]...)
		for encoded := base64.StdEncoding.EncodeToString(payload[:octets]); encoded != ""; {
			k := min(line, len(encoded))
			out, encoded = append(append(out, encoded[:k]...), end...), encoded[k:]
		}
		text, payload, list = text[gap:], payload[octets:], list[12:]
	}
	return append(out, text...)
}
