package parser_test

import (
	"crypto/sha256"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// A largeMail is a mail with one attachment in base64, as large as asked, that
// nothing holds in memory.
type largeMail struct {
	head, line, tail string
	lines            int64
	reads            atomic.Int64
}

func newLargeMail(octets int64) *largeMail {
	return &largeMail{
		head: "Subject: large\r\nFrom: ann@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n" +
			"--b\r\nContent-Type: application/octet-stream; name=disk.img\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		line:  strings.Repeat("QUJD", 19) + "\r\n",
		tail:  "\r\n--b--\r\n",
		lines: octets / 78,
	}
}

func (l *largeMail) size() int64 {
	return int64(len(l.head)) + l.lines*int64(len(l.line)) + int64(len(l.tail))
}

func (l *largeMail) ReadAt(p []byte, off int64) (n int, err error) {
	l.reads.Add(1)
	bodyEnd := int64(len(l.head)) + l.lines*int64(len(l.line))
	for n < len(p) && off < l.size() {
		var s string
		switch {
		case off < int64(len(l.head)):
			s = l.head[off:]
		case off < bodyEnd:
			s = l.line[(off-int64(len(l.head)))%int64(len(l.line)):]
		default:
			s = l.tail[off-bodyEnd:]
		}
		c := copy(p[n:], s)
		n, off = n+c, off+int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestMemoryOfLargeMail holds what ParseAt promises: allocation does not grow
// with the mail.
func TestMemoryOfLargeMail(t *testing.T) {
	const bound = 16 << 20
	l := newLargeMail(150 << 20 / slowdown)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := parser.ParseAt(l, l.size(), parser.DefaultLimits())
	runtime.ReadMemStats(&after)
	if err != nil || m.Text != "words" || len(m.Parts) != 3 || m.Parts[2].Size != l.lines*57 {
		t.Fatalf("%v, %+v", err, m)
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d octets allocated in all for a mail of %d", allocated, l.size())
	if allocated > bound {
		t.Errorf("%d octets allocated for a mail of %d", allocated, l.size())
	}
}

func TestPartReaderStreams(t *testing.T) {
	t.Parallel()
	l := newLargeMail(3 << 20)
	m, err := parser.ParseAt(l, l.size(), parser.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, parser.PartReader(l, m.Parts[2]))
	if err != nil || n != m.Parts[2].Size || mail.Digest(h.Sum(nil)) != m.Parts[2].Digest {
		t.Errorf("%d octets, %v", n, err)
	}
}

func BenchmarkCorpus(b *testing.B) {
	var small [][]byte
	var total int64
	mails := corpus(b)
	for _, name := range sortedKeys(mails) {
		if in := mails[name]; len(in) < 64<<10 {
			small = append(small, in)
			total += int64(len(in))
		}
	}
	b.ReportAllocs()
	b.SetBytes(total / int64(len(small)))
	i := 0
	for b.Loop() {
		parser.Parse(small[i%len(small)])
		i++
	}
}

func BenchmarkAttachment100MB(b *testing.B) {
	l := newLargeMail(100 << 20)
	b.SetBytes(l.size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parser.ParseAt(l, l.size(), parser.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}
