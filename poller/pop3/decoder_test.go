package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailkeep/mailkeep/mail"
)

// stuff is the sender's side of RFC 1939 section 3, written apart from the
// decoder: lines end with CR LF and nothing else.
func stuff(raw []byte) []byte {
	if len(raw) > 0 && !bytes.HasSuffix(raw, []byte("\r\n")) {
		raw = append(bytes.Clone(raw), "\r\n"...)
	}
	var out []byte
	for rest := raw; len(rest) > 0; {
		line := rest
		if i := bytes.Index(rest, []byte("\r\n")); i >= 0 {
			line = rest[:i+2]
		}
		if line[0] == '.' {
			out = append(out, '.')
		}
		out = append(out, line...)
		rest = rest[len(line):]
	}
	return append(out, ".\r\n"...)
}

func decode(r io.Reader, buffer int, lfOnly bool, limit int64) (body []byte, d *decoder, err error) {
	d = &decoder{in: bufio.NewReaderSize(r, buffer), lfOnly: lfOnly}
	var out bytes.Buffer
	f := mail.NewFingerprinter()
	err = d.copy(f, &out, limit)
	if err == nil && f.Sum() != mail.FingerprintOf(out.Bytes()) {
		err = errors.New("the fingerprint is of other bytes")
	}
	return out.Bytes(), d, err
}

// odd reads in pieces of 1 to 7 octets.
type odd struct {
	r   io.Reader
	rnd *rand.Rand
}

func (o odd) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1+o.rnd.IntN(7))]) }

// hostile are the octets that matter, more often than not.
func hostile(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = "\r\n.\x00\xffa\r\n."[rnd.IntN(9)]
	}
	return b
}

func TestDecoderRoundTrips(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		raw := hostile(rnd, rnd.IntN(60))
		want := raw
		if len(raw) > 0 && !bytes.HasSuffix(raw, []byte("\r\n")) {
			want = append(bytes.Clone(raw), "\r\n"...)
		}
		wire := append(stuff(raw), "+OK next\r\n"...)
		got, d, err := decode(odd{bytes.NewReader(wire), rnd}, 16, false, 0)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q came back as %q, %v", want, got, err)
		}
		if rest, _ := io.ReadAll(d.in); string(rest) != "+OK next\r\n" {
			t.Fatalf("%q: behind it stands %q", want, rest)
		}
		lf := int64(bytes.Count(want, []byte("\n")))
		if d.octets != int64(len(want)) || d.lines != lf || d.bareLF != lf-int64(bytes.Count(want, []byte("\r\n"))) {
			t.Fatalf("%q: counted %d octets, %d lines, %d bare", want, d.octets, d.lines, d.bareLF)
		}
		cut := rnd.IntN(len(wire) - len("+OK next\r\n"))
		if _, _, err := decode(odd{bytes.NewReader(wire[:cut]), rnd}, 16, false, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q: a cut was read as %v", wire[:cut], err)
		}
	}
}

// TestDecoderUnstuffed reads what a sender that stuffs dots never sends: a dot
// that no other follows is kept, and only CR LF . CR LF is an end.
func TestDecoderUnstuffed(t *testing.T) {
	for wire, want := range map[string]string{
		".\nb\r\n.\r\n":     ".\nb\r\n",
		".\r\r\n.\r\n":      ".\r\r\n",
		".\rb\r\n.\r\n":     ".\rb\r\n",
		".a\r\n.\r\n":       ".a\r\n",
		"a\r\n.\n\r\n.\r\n": "a\r\n.\n\r\n",
	} {
		for _, r := range []io.Reader{strings.NewReader(wire), iotest.OneByteReader(strings.NewReader(wire))} {
			if got, _, err := decode(r, 16, false, 0); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", wire, got, err)
			}
		}
	}
}

func TestDecoderLFOnly(t *testing.T) {
	for wire, want := range map[string]string{
		".\n":                  "",
		".\r\n":                "",
		"a\n..b\n.\n":          "a\n.b\n",
		"a\r\n..b\r\n.\r\n":    "a\r\n.b\r\n",
		"a\n.b\r\n..\n\n.\r\n": "a\n.b\r\n.\n\n",
	} {
		for _, r := range []io.Reader{strings.NewReader(wire), iotest.OneByteReader(strings.NewReader(wire))} {
			if got, _, err := decode(r, 16, true, 0); err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", wire, got, err)
			}
		}
	}
}

func TestDecoderLimit(t *testing.T) {
	wire := "12345678\r\n.\r\n"
	for limit, want := range map[int64]error{0: nil, 9: ErrTooLarge, 10: nil} {
		if _, _, err := decode(strings.NewReader(wire), 16, false, limit); err != want {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	endless := io.MultiReader(strings.NewReader("a"), iotest.OneByteReader(neverEnding('x')))
	if _, d, err := decode(endless, 16, false, 1000); err != ErrTooLarge || d.octets > 1001 {
		t.Errorf("endless: %v after %d octets", err, d.octets)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// TestDecoderReadsOnPastAWriter tells that a full disk does not put the session
// out of step.
func TestDecoderReadsOnPastAWriter(t *testing.T) {
	full := errors.New("disk full")
	d := &decoder{in: bufio.NewReaderSize(strings.NewReader("a\r\nb\r\n.\r\n+OK"), 16)}
	if err := d.copy(mail.NewFingerprinter(), writerFunc(func([]byte) (int, error) { return 0, full }), 0); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(d.in); string(rest) != "+OK" || d.writeErr != full {
		t.Errorf("rest %q, error %v", rest, d.writeErr)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzDecoder(f *testing.F) {
	for _, s := range []string{"", ".", "..", "\r\n.\r\n", "\n.\n", "a\r\n.\rb\r\n", ".\r\r\n", "\x00\xff", "x\r"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece uint8) {
		want := raw
		if len(raw) > 0 && !bytes.HasSuffix(raw, []byte("\r\n")) {
			want = append(bytes.Clone(raw), "\r\n"...)
		}
		rnd := rand.New(rand.NewPCG(uint64(piece), 0))
		got, _, err := decode(odd{bytes.NewReader(stuff(raw)), rnd}, 16, false, 0)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q came back as %q, %v", want, got, err)
		}
		// As a stream that nobody stuffed: any outcome but a panic, and the same
		// one however it arrives.
		a, _, errA := decode(bytes.NewReader(raw), 64<<10, false, 0)
		b, _, errB := decode(odd{bytes.NewReader(raw), rnd}, 16, false, 0)
		if !bytes.Equal(a, b) || fmt.Sprint(errA) != fmt.Sprint(errB) {
			t.Fatalf("%q is %q, %v at once and %q, %v in pieces", raw, a, errA, b, errB)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	line := strings.Repeat("x", 74) + "\r\n"
	wire := stuff([]byte(strings.Repeat(line, 1<<20/len(line))))
	for _, hashed := range []bool{false, true} {
		b.Run(fmt.Sprintf("hashed=%t", hashed), func(b *testing.B) {
			r := bytes.NewReader(nil)
			d := &decoder{in: bufio.NewReaderSize(r, readBuffer)}
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(wire)
				d.in.Reset(r)
				var f io.Writer = io.Discard
				if hashed {
					f = mail.NewFingerprinter()
				}
				if err := d.copy(f, io.Discard, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
