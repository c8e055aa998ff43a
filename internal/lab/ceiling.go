package lab

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
)

// Ceiling drains a mailbox as fast as its server can: it pipelines RETR and
// DELE with a window of 32, throws every octet away and proves nothing. It is
// what a drain is measured against, never a client for mail that matters.
func Ceiling(addr, mailbox string) (messages int, octets int64, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, 0, err
	}
	return CeilingOver(c, mailbox)
}

// CeilingOver is Ceiling over a connection, which it closes.
func CeilingOver(c net.Conn, mailbox string) (messages int, octets int64, err error) {
	defer c.Close() //nolint:errcheck // its work is done
	k := &ceiling{c: c, r: bufio.NewReaderSize(c, 256<<10)}
	k.expect("")
	k.expect("USER " + mailbox)
	k.expect("PASS " + Password)
	var size int64
	fmt.Sscanf(k.expect("STAT"), "+OK %d %d", &messages, &size) //nolint:errcheck // zero shows in the result
	const window = 32
	for sent, got := 0, 0; got < messages && k.err == nil; got++ {
		for ; sent < messages && sent < got+window; sent++ {
			k.send(fmt.Sprintf("RETR %d\r\nDELE %d\r\n", sent+1, sent+1))
		}
		k.line()
		k.body()
		k.line()
	}
	k.expect("QUIT")
	return messages, k.octets, k.err
}

type ceiling struct {
	c      net.Conn
	r      *bufio.Reader
	octets int64
	err    error
}

func (k *ceiling) send(s string) {
	if k.err == nil {
		_, k.err = io.WriteString(k.c, s)
	}
}

func (k *ceiling) expect(command string) string {
	if command != "" {
		k.send(command + "\r\n")
	}
	return k.line()
}

func (k *ceiling) line() string {
	if k.err != nil {
		return ""
	}
	s, err := k.r.ReadString('\n')
	if err == nil && s[0] != '+' {
		err = fmt.Errorf("server: %q", s)
	}
	k.err = err
	return s
}

func (k *ceiling) body() {
	for start := true; k.err == nil; {
		b, err := k.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			k.err = err
			return
		}
		if start && bytes.Equal(b, []byte(".\r\n")) {
			return
		}
		k.octets += int64(len(b))
		start = err == nil
	}
}
