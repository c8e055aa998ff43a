package worker

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// Frames come out as they went in, whatever their size.
func TestFrames(t *testing.T) {
	for _, size := range []int{0, 1, maxChunk - 1, maxChunk, maxChunk + 1, 3*maxChunk + 7} {
		var wire bytes.Buffer
		c := conn{r: &wire, w: &wire}
		want := bytes.Repeat([]byte("x"), size)
		if errRead, err := c.sendAll(frameData, bytes.NewReader(want), int64(size)); errRead != nil || err != nil {
			t.Fatal(errRead, err)
		}
		got, err := c.receiveAll(frameData, int64(size))
		if err != nil || !bytes.Equal(got, want) || wire.Len() > 0 {
			t.Errorf("%d octets: %d came, %d are left, %v", size, len(got), wire.Len(), err)
		}
	}
}

// A source that is shorter or longer than announced ends at the smaller of both.
func TestFramesOfOddSources(t *testing.T) {
	for _, size := range []int64{2, 3, 9} {
		var wire bytes.Buffer
		c := conn{r: &wire, w: &wire}
		if errRead, err := c.sendAll(frameData, strings.NewReader("abc"), size); errRead != nil || err != nil {
			t.Fatal(errRead, err)
		}
		got, err := c.receiveAll(frameData, size)
		if want := "abc"[:min(size, 3)]; err != nil || string(got) != want {
			t.Errorf("%d: %q, %v", size, got, err)
		}
	}
}

// What breaks the protocol is refused before its body is read.
func TestFramesRefused(t *testing.T) {
	for name, wire := range map[string]string{
		"another kind": "T\x00\x00\x00\x00", "too long": "A\x00\x01\x00\x01", "far too long": "A\xff\xff\xff\xff",
		"no JSON": "A\x00\x00\x00\x02{]", "another type": `A` + "\x00\x00\x00\x0c" + `{"status":1}`,
	} {
		var a answer
		var bad frameError
		if err := (conn{r: strings.NewReader(wire)}).receiveJSON(frameAnswer, &a); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, wire := range map[string]string{"head": "A\x00", "body": "A\x00\x00\x00\x05{"} {
		var a answer
		if err := (conn{r: strings.NewReader(wire)}).receiveJSON(frameAnswer, &a); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("half of a %s: %v", name, err)
		}
	}
	if _, err := (conn{r: strings.NewReader("T\x00\x00\x00\x02ab")}).receiveAll(frameText, 1); err == nil {
		t.Error("more octets than were announced")
	}
	var wire bytes.Buffer
	if err := (conn{w: &wire}).sendJSON(frameHello, hello{PDF: strings.Repeat("x", maxHead)}); err == nil || wire.Len() > 0 {
		t.Errorf("a frame that is too long was sent: %v", err)
	}
}

// FuzzAnswer: whatever a process says, the pool reads no more than it asked
// for, and what it takes for a result is fit to be kept.
func FuzzAnswer(f *testing.F) {
	frames := func(text, a string) []byte {
		var b bytes.Buffer
		c := conn{w: &b}
		if _, err := c.sendAll(frameText, strings.NewReader(text), int64(len(text))); err != nil {
			f.Fatal(err)
		}
		if err := c.send(frameAnswer, []byte(a)); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	f.Add(frames("the text", `{"status":"ok","extractor":{"name":"pdf","version":1},"embedded":2}`), false)
	f.Add(frames("", `{"status":"encrypted","detail":"a\nb"}`), false)
	f.Add(frames("a\xff\x00b", `{"status":"ok","unread":-5}`), false)
	f.Add(frames("x", `{"status":"splendid"}`), false)
	f.Add(append([]byte("P\x00\x00\x00\x01x"), frames("seen", `{"status":"ok"}`)...), true)
	f.Add([]byte("T\xff\xff\xff\xff"), true)
	f.Fuzz(func(t *testing.T, wire []byte, pictures bool) {
		const most = 64
		w := &process{conn: conn{r: bytes.NewReader(wire), w: io.Discard}}
		var read func([]byte) reading
		asked := 0
		if pictures {
			read = func(b []byte) reading {
				asked++
				return reading{Status: mail.TextOK, Text: string(b[:min(len(b), 10)])}
			}
		}
		r, err := w.answer(most, read)
		if err != nil {
			return
		}
		if len(r.Text) > most || !utf8.ValidString(r.Text) || strings.ContainsRune(r.Text, 0) {
			t.Errorf("text %q", r.Text)
		}
		if strings.ContainsAny(r.Detail+r.Extractor.Name, "\r\n\x00") || r.Unpacked < 0 || r.Embedded < 0 || r.Unread < 0 {
			t.Errorf("%+v", r)
		}
		if asked > len(wire)/frameHead {
			t.Errorf("%d pictures in %d octets", asked, len(wire))
		}
	})
}

// FuzzServe: whatever a pool says, a process answers or ends.
func FuzzServe(f *testing.F) {
	var b bytes.Buffer
	c := conn{w: &b}
	for _, text := range []string{"one", strings.Repeat("two ", 100)} {
		if err := c.sendJSON(frameQuery, query{Name: "a.txt", Type: "text/plain", Size: int64(len(text)), Text: 100}); err != nil {
			f.Fatal(err)
		}
		if _, err := c.sendAll(frameData, strings.NewReader(text), int64(len(text))); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Add([]byte("Q\x00\x00\x00\x02{}D\x00\x00\x00\x00"))
	f.Add([]byte(`Q` + "\x00\x00\x00\x0b" + `{"size":-1}` + "D\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		var out bytes.Buffer
		s := server{conn: conn{r: bytes.NewReader(wire), w: &out}, read: extract.Text}
		_ = s.serve(t.Context(), hello{}) // that it returns is what is tested
		var h hello
		if err := (conn{r: &out}).receiveJSON(frameHello, &h); err != nil {
			t.Errorf("no hello: %v", err)
		}
	})
}
