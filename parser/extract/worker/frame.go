package worker

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A frame is its kind, the length of its body as four octets, most significant
// first, and the body.
const frameHead = 5

// The kinds of frames.
const (
	frameHello   = 'H' // process: a hello, once
	frameQuery   = 'Q' // pool: a query; the document follows
	frameData    = 'D' // pool: octets of the document; an empty one ends it
	framePicture = 'P' // process: a picture that it wants the text of
	frameRead    = 'R' // pool: the answer to it, a reading
	frameText    = 'T' // process: octets of the text, before the answer
	frameAnswer  = 'A' // process: the answer
)

const (
	maxHead    = 64 << 10 // octets of what is JSON
	maxChunk   = 256 << 10
	maxPicture = 64 << 20
)

// longest are the longest bodies of frames.
var longest = map[byte]int{
	frameHello: maxHead, frameQuery: maxHead, frameAnswer: maxHead, frameRead: 8 * maxReading,
	frameData: maxChunk, frameText: maxChunk, framePicture: maxPicture,
}

// A frameError is a frame that breaks the protocol. Whoever meets one can only
// end the connection.
type frameError string

func (e frameError) Error() string { return "protocol of the extraction: " + string(e) }

// A conn speaks frames. It is used by one goroutine at a time.
type conn struct {
	r io.Reader
	w io.Writer
}

// send writes a frame with one call of Write.
func (c conn) send(kind byte, body []byte) error {
	b := make([]byte, frameHead, frameHead+len(body))
	b[0] = kind
	binary.BigEndian.PutUint32(b[1:], uint32(len(body)))
	_, err := c.w.Write(append(b, body...))
	return err
}

// sendJSON writes a frame that is JSON.
func (c conn) sendJSON(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > longest[kind] {
		return frameError(fmt.Sprintf("a frame %q of %d octets is too long to be sent", kind, len(b)))
	}
	return c.send(kind, b)
}

// sendAll writes r as frames of the kind, and no more than size octets of it.
// It returns r's error and w's apart: what a document's source cannot give is
// no fault of the process.
func (c conn) sendAll(kind byte, r io.Reader, size int64) (errRead, errWrite error) {
	buf := make([]byte, min(size, maxChunk))
	for left := size; left > 0; {
		n, err := io.ReadFull(r, buf[:min(left, maxChunk)])
		if n > 0 {
			if err := c.send(kind, buf[:n]); err != nil {
				return nil, err
			}
		}
		left -= int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err, nil
		}
	}
	return nil, c.send(kind, nil)
}

// next reads the head of a frame of one of the kinds and returns its kind and
// the length of its body, which is not too long. io.EOF stands for an end
// between two frames.
func (c conn) next(kinds string) (kind byte, size int, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if strings.IndexByte(kinds, head[0]) < 0 {
		return 0, 0, frameError(fmt.Sprintf("a frame %q is not expected here", head[0]))
	}
	if int64(n) > int64(longest[head[0]]) {
		return 0, 0, frameError(fmt.Sprintf("a frame %q of %d octets is too long", head[0], n))
	}
	return head[0], int(n), nil
}

// body reads the body of a frame. Memory is taken as octets come, not as they
// are promised.
func (c conn) body(size int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.CopyN(&b, c.r, int64(size))
	if err == io.EOF && n < int64(size) {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

// receive reads a whole frame of one of the kinds.
func (c conn) receive(kinds string) (kind byte, body []byte, err error) {
	kind, size, err := c.next(kinds)
	if err != nil {
		return 0, nil, err
	}
	body, err = c.body(size)
	return kind, body, err
}

// receiveJSON reads a frame of the kind into v.
func (c conn) receiveJSON(kind byte, v any) error {
	_, b, err := c.receive(string(rune(kind)))
	if err != nil {
		return err
	}
	return decode(b, v)
}

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return frameError(err.Error())
	}
	return nil
}

// receiveAll reads frames of the kind up to an empty one, at most limit octets.
func (c conn) receiveAll(kind byte, limit int64) ([]byte, error) {
	var b bytes.Buffer
	for {
		_, size, err := c.next(string(rune(kind)))
		if err != nil {
			return nil, err
		}
		if size == 0 {
			return b.Bytes(), nil
		}
		if int64(b.Len()+size) > limit {
			return nil, frameError("more octets than were announced")
		}
		if n, err := io.CopyN(&b, c.r, int64(size)); n < int64(size) {
			return nil, unexpected(err)
		}
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
