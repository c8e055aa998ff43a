package extract_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// limited reads a document under limits and checks the invariants.
func limited(t *testing.T, name string, b []byte, lim extract.Limits) extract.Result {
	t.Helper()
	res := extract.Text(t.Context(), extract.Document{Name: name, Data: b}, lim, tools())
	all := extract.DefaultLimits()
	if lim.Text > 0 {
		all.Text = lim.Text
	}
	if lim.Unpacked > 0 {
		all.Unpacked = lim.Unpacked
	}
	if problem := check(res, all); problem != "" {
		t.Errorf("%s: %s", name, problem)
	}
	return res
}

// TestLimits reaches each limit: the text ends there and says so, and what came
// before is kept.
func TestLimits(t *testing.T) {
	t.Parallel()
	hello := file{name: "hello.txt", data: "hello"}
	nest := zipOf(t, hello)
	for range 6 {
		nest = zipOf(t, file{name: "inner.zip", data: string(nest)}, hello)
	}
	many := make([]file, 30)
	for i := range many {
		many[i] = file{name: fmt.Sprintf("%d.txt", i), data: "x"}
	}
	large := file{name: "large.txt", data: strings.Repeat("word ", 1000)}
	for name, tc := range map[string]struct {
		doc    []byte
		lim    extract.Limits
		detail string
	}{
		"depth.zip":      {nest, extract.Limits{}, "nested too deep"},
		"entries.zip":    {zipOf(t, append([]file{hello}, many...)...), extract.Limits{Entries: 20}, "too many entries"},
		"entry.zip":      {zipOf(t, hello, large), extract.Limits{Entry: 1000}, "unpacks to too much"},
		"unpacked.zip":   {zipOf(t, hello, large, large), extract.Limits{Unpacked: 7000}, "unpacks to too much"},
		"ratio.zip":      {zipOf(t, hello, file{name: "b", data: strings.Repeat("a", 1<<20)}), extract.Limits{Ratio: 100, RatioFrom: 1 << 16}, "expands more than 100 times"},
		"ratio.gz":       {gzipOf(t, []byte("hello"+strings.Repeat(" ", 1<<20))), extract.Limits{Ratio: 100, RatioFrom: 1 << 16}, "expands more than 100 times"},
		"text.zip":       {zipOf(t, hello, large), extract.Limits{Text: 500}, ""},
		"text.txt":       {[]byte("hello" + large.data), extract.Limits{Text: 500}, ""},
		"text.html":      {[]byte("<html>hello" + large.data), extract.Limits{Text: 500}, ""},
		"text.rtf":       {[]byte("{\\rtf1 hello " + large.data), extract.Limits{Text: 500}, ""},
		"text.doc":       {docOf("hello " + large.data), extract.Limits{Text: 500}, ""},
		"text.ics":       {[]byte("BEGIN:VCALENDAR\nSUMMARY:hello" + large.data + "\n"), extract.Limits{Text: 500}, ""},
		"text.xml":       {[]byte("<?xml version='1.0'?><a>hello " + large.data + "</a>"), extract.Limits{Text: 500}, ""},
		"text.eml":       {[]byte("Subject: hello\n\n" + large.data), extract.Limits{Text: 500}, ""},
		"sub.docx":       {zipOf(t, file{name: "_rels/.rels"}, file{name: "word/document.xml", data: paragraph("hello") + paragraph(large.data)}), extract.Limits{Text: 500}, ""},
		"strings.xlsx":   {sharedBomb(t, 1000), extract.Limits{Text: 500}, ""},
		"stream.doc":     {docOf("hello " + large.data), extract.Limits{Entry: 2000}, "too large"},
		"properties.tnf": {tnefBomb(30), extract.Limits{Entries: 20}, "too many properties"},
	} {
		res := limited(t, name, tc.doc, tc.lim)
		if res.Status != mail.TextTruncated {
			t.Errorf("%s: status %s (%s)", name, res.Status, res.Detail)
		}
		if !strings.Contains(res.Text, "hello") {
			t.Errorf("%s: what came before the limit is lost: %.80q", name, res.Text)
		}
		if !strings.Contains(res.Detail, tc.detail) {
			t.Errorf("%s: detail %q, want %q in it", name, res.Detail, tc.detail)
		}
	}
}

// sharedBomb is a workbook whose cells all show the same long string.
func sharedBomb(tb testing.TB, cells int) []byte {
	tb.Helper()
	return zipOf(tb, file{name: "_rels/.rels"}, file{name: "xl/workbook.xml", data: "<workbook/>"},
		file{name: "xl/sharedStrings.xml", data: "<sst><si><t>hello " + strings.Repeat("x", 100) + "</t></si></sst>"},
		file{name: "xl/worksheets/sheet1.xml", data: "<worksheet>" + strings.Repeat(`<row><c t="s"><v>0</v></c></row>`, cells) + "</worksheet>"})
}

func tnefBomb(n int) []byte {
	props := [][]byte{mapiString(0x37, "hello")}
	for range n {
		props = append(props, mapiString(0x8001&0x7fff|0x3a00, "x"))
	}
	data := mapi(props...)
	return le(uint32(0x223e9f78), uint16(1), byte(1), uint32(0x69003), uint32(len(data)), data, uint16(0))
}

// TestRepeatedEntries: a directory that names the same compressed octets over and
// over (a bomb without nesting) is judged by what comes out of the whole file.
func TestRepeatedEntries(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("hello world "), 1<<17)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	local := le("PK\x03\x04", uint16(20), uint16(0), uint16(8), uint32(0), uint32(0), uint32(packed.Len()), uint32(5), uint16(1), uint16(0), "a", packed.Bytes())
	var dir []byte
	const entries = 500
	for range entries {
		dir = append(dir, le("PK\x01\x02", uint16(20), uint16(20), uint16(0), uint16(8), uint32(0), uint32(0), uint32(packed.Len()), uint32(5),
			uint16(1), uint16(0), uint16(0), uint16(0), uint16(0), uint32(0), uint32(0), "a")...)
	}
	end := le("PK\x05\x06", uint16(0), uint16(0), uint16(entries), uint16(entries), uint32(len(dir)), uint32(len(local)), uint16(0))
	res := limited(t, "bomb.zip", append(append(local, dir...), end...), extract.Limits{})
	if res.Status != mail.TextTruncated || res.Unpacked > 64<<20 {
		t.Errorf("status %s after %d octets (%s)", res.Status, res.Unpacked, res.Detail)
	}
}

// TestQuine: an archive that holds itself ends at the depth limit.
func TestQuine(t *testing.T) {
	t.Parallel()
	// A reader that always finds the same archive inside: mails, by the tool.
	self := zipOf(t, file{name: "self.eml", data: "Subject: again\n\n"})
	tools := tools()
	part := mail.Part{Path: "1", Digest: mail.Digest{1}, TextStatus: mail.TextUnsupported, FileName: "self.zip", Type: "application/zip"}
	tools.Mail = func([]byte) *mail.Message { return &mail.Message{Subject: "again", Parts: []mail.Part{part, part}} }
	tools.Part = func(io.ReaderAt, mail.Part) io.Reader { return bytes.NewReader(self) }
	res := extract.Text(t.Context(), extract.Document{Name: "self.zip", Data: self}, extract.Limits{}, tools)
	if res.Status != mail.TextTruncated || !strings.Contains(res.Detail, "too deep") || res.Embedded > 100 {
		t.Errorf("%s, %s, %d embedded", res.Status, res.Detail, res.Embedded)
	}
}

// TestCyclicChains: sectors that follow one another in a circle, a directory that
// is its own child, a table of tables without end.
func TestCyclicChains(t *testing.T) {
	t.Parallel()
	good := docOf("hello "+strings.Repeat("word ", 2000), "und größer")
	for at := 512; at+4 <= len(good); at += 4 {
		if !bytes.Equal(good[at:at+4], le(uint32(endOfChain))) {
			continue
		}
		for _, to := range []uint32{0, 1, 3} {
			bad := bytes.Clone(good)
			binary.LittleEndian.PutUint32(bad[at:], to)
			limited(t, fmt.Sprintf("chain at %d to %d", at, to), bad, extract.Limits{})
		}
	}
	for at := 48; at < 80; at += 4 {
		bad := bytes.Clone(good)
		binary.LittleEndian.PutUint32(bad[at:], 1)
		limited(t, fmt.Sprintf("header at %d", at), bad, extract.Limits{})
	}
	root := bytes.Index(good, wide("Root Entry"))
	for _, at := range []int{68, 72, 76, 128 + 68, 128 + 72, 128 + 76} {
		for id := range uint32(4) {
			bad := bytes.Clone(good)
			binary.LittleEndian.PutUint32(bad[root+at:], id)
			res := limited(t, fmt.Sprintf("directory at %d to %d", at, id), bad, extract.Limits{})
			if !strings.Contains(res.Text, "hello") {
				t.Errorf("directory at %d to %d: the text is lost (%s, %s)", at, id, res.Status, res.Detail)
			}
		}
	}
}

// TestCutCompoundFile: a compound file that lost its last octets, and with them
// the end of a table or of the directory, still gives its text.
func TestCutCompoundFile(t *testing.T) {
	t.Parallel()
	b := docOf("hello "+strings.Repeat("word ", 2000), "und größer")
	for _, cut := range []int{1, 10, 100, 300} {
		res := limited(t, "a.doc", b[:len(b)-cut], extract.Limits{})
		if !strings.Contains(res.Text, "hello") || !strings.Contains(res.Text, "größer") {
			t.Errorf("cut by %d: %s, %.40q (%s)", cut, res.Status, res.Text, res.Detail)
		}
	}
}

// TestEveryCut: a document that ends anywhere gives a status and no panic.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	for name, b := range documents(t) {
		for _, end := range cuts(len(b)) {
			limited(t, name, b[:end], extract.Limits{})
		}
	}
}

func cuts(n int) (at []int) {
	for i := 0; i < n; i += max(1, n/100) {
		at = append(at, i)
	}
	return at
}

// TestEndedContext: a context that has ended gives timeout, at once.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for name, b := range documents(t) {
		if res := extract.Text(ctx, extract.Document{Name: name, Data: b}, extract.Limits{}, tools()); res.Status != mail.TextTimeout {
			t.Errorf("%s: %s (%s)", name, res.Status, res.Detail)
		}
	}
}

// TestContextEndsWithin: it ends between the entries too, and what was read of
// the ones before stays.
func TestContextEndsWithin(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	tools := tools()
	tools.PDF = func(context.Context, []byte, int) extract.Result {
		stop()
		return extract.Result{Text: "a page", Status: mail.TextOK}
	}
	doc := zipOf(t, file{name: "a.pdf", data: "%PDF-1.4"}, file{name: "b.txt", data: "never read"})
	res := extract.Text(ctx, extract.Document{Name: "a.zip", Data: doc}, extract.Limits{}, tools)
	if res.Status != mail.TextTimeout || res.Text != "a.pdf\na page" {
		t.Errorf("%s: %q", res.Status, res.Text)
	}
}

// TestLongCycle: a chain that turns back on itself ends there, however long its
// stream claims to be.
func TestLongCycle(t *testing.T) {
	t.Parallel()
	b := oleOf(file{name: "WordDocument", data: strings.Repeat("word ", 2000)}, file{name: "1Table", data: "x"})
	entry := bytes.Index(b, wide("WordDocument"))
	binary.LittleEndian.PutUint32(b[entry+120:], 0x7fffffff)
	fat := (int(u32at(b, 76)) + 1) * 512
	const last = (10_000+511)/512 - 1
	if u32at(b, fat+4*last) != endOfChain {
		t.Fatal("the chain ends elsewhere")
	}
	binary.LittleEndian.PutUint32(b[fat+4*last:], 0)
	if res := limited(t, "a.doc", b, extract.Limits{}); res.Unpacked > int64(2*len(b)) {
		t.Errorf("%d octets of a file of %d (%s)", res.Unpacked, len(b), res.Detail)
	}
}

func u32at(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
