package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/mailkeep/mailkeep/internal/lab"
	"github.com/mailkeep/mailkeep/poller/pop3/pop3test"
)

// BenchmarkLosses shows what becomes of mail when servers and connections
// misbehave, in the cases in which clients are known to lose it: mpop, fetchmail,
// getmail6 and mailkeep each drain a mailbox of five messages twice, told to
// delete what they have. The last column tells what mailkeep comes to in time,
// as it goes about a mailbox more carefully after each failure. `make losses`
// prints the table of docs/benchmarks.md.
//
// A message is kept if the client stored its whole body at least once; line ends
// and headers may be as they like, which is generous. It is lost if it is neither
// kept nor on the server any more. It is stuck if it is on the server still.
// Copies beyond the first are counted, and files with a broken message.
func BenchmarkLosses(b *testing.B) {
	var rows [][]string
	for b.Loop() {
		rows = nil
		for _, c := range lossCases {
			row := []string{c.what}
			for _, drain := range lossClients {
				row = append(row, c.suffer(b, drain, 2))
			}
			row = append(row, c.suffer(b, withMailkeep, 10))
			if ours := row[len(row)-2:]; strings.Contains(strings.Join(ours, ""), "lost") {
				b.Errorf("mailkeep loses mail: %s: %v", c.what, ours)
			}
			rows = append(rows, row)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(w, "\n| what happens\t mpop\t fetchmail\t getmail6\t mailkeep\t mailkeep, ten runs\t")
	fmt.Fprintln(w, "| ---\t ---\t ---\t ---\t ---\t ---\t")
	for _, row := range rows {
		fmt.Fprintf(w, "| %s\t\n", strings.Join(row, "\t "))
	}
	w.Flush() //nolint:errcheck // standard output
}

// A lossCase is a server with a fault.
type lossCase struct {
	what  string
	start func(*testing.B, [][]byte) ailing
}

// An ailing server has its fault in all runs, unless between mends it.
type ailing struct {
	address string
	left    func() [][]byte // the messages on the server
	between func()          // called after the first run; may be nil
}

// lossBox is the mailbox; its password is the lab's.
const lossBox = "anna"

// lossMail is what the mailbox holds at first. The bodies are unlike each other.
func lossMail() [][]byte {
	mail := make([][]byte, 5)
	for n := range mail {
		mail[n] = fmt.Appendf(nil, "From: sender@example.org\nTo: anna@example.org\nSubject: number %d\nMessage-ID: <loss.%d@example.org>\nDate: Mon, 01 Jan 2024 10:00:00 +0000\n\nbegin %d\n%send %d\n",
			n+1, n+1, n+1, strings.Repeat(fmt.Sprintf("line of message %d\n", n+1), 150), n+1)
	}
	return mail
}

// suffer lets one client drain the ailing server in some runs, and says what
// became of the mail.
func (c lossCase) suffer(b *testing.B, drain lossClient, runs int) string {
	mail := lossMail()
	srv := c.start(b, mail)
	dir := b.TempDir()
	client := drain(b, dir, srv.address)
	client.run()
	if srv.between != nil {
		srv.between()
	}
	for range runs - 1 {
		client.run()
	}
	return tally(mail, client.stored(), srv.left())
}

// tally compares what there was with what is stored and what is left.
func tally(mail, stored, left [][]byte) string {
	lost, stuck, copies, whole := 0, 0, 0, 0
	for _, m := range mail {
		kept := countHolding(stored, body(m))
		there := countHolding(left, body(m))
		whole += kept
		copies += max(0, kept-1)
		stuck += there
		if kept == 0 && there == 0 {
			lost++
		}
	}
	var says []string
	for _, s := range []struct {
		n    int
		what string
	}{{lost, "**%d lost**"}, {stuck, "%d stuck"}, {copies, "%d copies"}, {len(stored) - whole, "%d broken"}} {
		if s.n > 0 {
			says = append(says, fmt.Sprintf(s.what, s.n))
		}
	}
	if says == nil {
		return "all kept"
	}
	return strings.Join(says, ", ")
}

// body returns what identifies a message: all behind its header.
func body(raw []byte) []byte {
	_, b, _ := bytes.Cut(plainLines(raw), []byte("\n\n"))
	return b
}

// countHolding counts the texts that hold the body.
func countHolding(texts [][]byte, body []byte) (n int) {
	for _, t := range texts {
		if bytes.Contains(plainLines(t), body) {
			n++
		}
	}
	return n
}

// plainLines makes all line ends LF and drops empty lines at the end.
func plainLines(raw []byte) []byte {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	return bytes.TrimRight(raw, "\n")
}

// lossCases are the faults: of a scripted server, then of Dovecot.
var lossCases = []lossCase{
	{"nothing out of the ordinary", scripted(func(*pop3test.Mailbox) pop3test.Hooks { return pop3test.Hooks{} })},
	{"RETR of message 2 is refused (poison)", scripted(func(box *pop3test.Mailbox) pop3test.Hooks {
		return onMessage(box, "u2", pop3test.Action{Raw: "-ERR cannot read this message\r\n"})
	})},
	{"the connection is closed inside of message 3", scripted(func(box *pop3test.Mailbox) pop3test.Hooks {
		return onMessage(box, "u3", pop3test.Action{Raw: "+OK\r\nSubject: number 3\r\n\r\nbegin 3\r\n", End: pop3test.FIN})
	})},
	{"message 3 is cut short, with a proper end", scripted(func(*pop3test.Mailbox) pop3test.Hooks {
		return pop3test.Hooks{Body: func(_ int, raw []byte) []byte {
			if bytes.Contains(raw, []byte("begin 3")) {
				return raw[:len(raw)/2]
			}
			return raw
		}}
	})},
	{"message 2 has LF . LF inside", altered(func(mail [][]byte) {
		mail[1] = append(mail[1], "before\n.\nafter, the tail\r\n"...)
	}, pop3test.Hooks{})},
	{"dots are not stuffed, message 2 has a line of one", altered(func(mail [][]byte) {
		mail[1] = append(mail[1], "before\r\n.\r\nafter, the tail\r\n"...)
	}, pop3test.Hooks{NoDotStuffing: true})},
	{"two messages have one UIDL", scripted(func(box *pop3test.Mailbox) pop3test.Hooks {
		box.Messages[3].UIDL = box.Messages[2].UIDL
		return pop3test.Hooks{}
	})},
	{"QUIT is refused the first time", firstTime(pop3test.QuitRefused)},
	{"QUIT has no answer the first time, nothing is deleted", firstTime(pop3test.QuitDropBefore)},
	{"QUIT has no answer the first time, all is deleted", firstTime(pop3test.QuitDropAfter)},
	{"Dovecot: a file loses its second half", dovecotTruncated},
	{"Dovecot: the Maildir is read-only", dovecotReadOnly},
	{"Dovecot: message 2 begins with a line of one dot", dovecotDotFirst},
}

// scripted starts the scripted server with the hooks that are made for its
// mailbox, whose messages have CR LF.
func scripted(hooks func(*pop3test.Mailbox) pop3test.Hooks) func(*testing.B, [][]byte) ailing {
	return func(b *testing.B, mail [][]byte) ailing {
		a, srv, box := serveScripted(b, mail)
		srv.SetHooks(hooks(box))
		return a
	}
}

// serveScripted starts the scripted server without a fault.
func serveScripted(b *testing.B, mail [][]byte) (ailing, *pop3test.Server, *pop3test.Mailbox) {
	b.Helper()
	box := &pop3test.Mailbox{Password: lab.Password}
	for n, raw := range mail {
		if !bytes.Contains(raw, []byte("\r\n")) {
			raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
		}
		box.Messages = append(box.Messages, pop3test.Message{UIDL: fmt.Sprintf("u%d", n+1), Raw: raw})
	}
	srv := &pop3test.Server{Mailboxes: map[string]*pop3test.Mailbox{lossBox: box}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	left := func() (all [][]byte) {
		for _, m := range box.Left() {
			all = append(all, m.Raw)
		}
		return all
	}
	return ailing{address: l.Addr().String(), left: left}, srv, box
}

// onMessage answers the commands that fetch the message with the UIDL, whatever
// its number is.
func onMessage(box *pop3test.Mailbox, uidl string, instead pop3test.Action) pop3test.Hooks {
	return pop3test.Hooks{OnCommand: func(c pop3test.Command) *pop3test.Action {
		var n int
		if c.Verb != "RETR" && c.Verb != "TOP" {
			return nil
		}
		fmt.Sscan(c.Arg, &n) //nolint:errcheck // 0 is no message
		if left := box.Left(); n < 1 || n > len(left) || left[n-1].UIDL != uidl {
			return nil
		}
		return &instead
	}}
}

// altered starts the scripted server with other mail.
func altered(alter func([][]byte), hooks pop3test.Hooks) func(*testing.B, [][]byte) ailing {
	return func(b *testing.B, mail [][]byte) ailing {
		for n, raw := range mail {
			mail[n] = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
		}
		alter(mail)
		a, srv, _ := serveScripted(b, mail)
		srv.SetHooks(hooks)
		return a
	}
}

// firstTime starts the scripted server with a fault of QUIT that is mended
// between the runs.
func firstTime(fault pop3test.QuitFault) func(*testing.B, [][]byte) ailing {
	return func(b *testing.B, mail [][]byte) ailing {
		a, srv, _ := serveScripted(b, mail)
		srv.SetHooks(pop3test.Hooks{Quit: fault})
		a.between = func() { srv.SetHooks(pop3test.Hooks{}) }
		return a
	}
}

func startDovecot(b *testing.B, mail [][]byte) (*lab.Dovecot, ailing) {
	d := lab.StartDovecot(b, lossBox)
	d.Deliver(b, lossBox, mail...)
	lab.Fetch(b, d.POP3, lossBox) // so that it knows the sizes
	return d, ailing{address: d.POP3, left: func() [][]byte { return d.Contents(b, lossBox) }}
}

// dovecotTruncated counts what is left as whole: the file is damaged, but the
// mail is there to be mended from a backup as long as nobody deletes it.
func dovecotTruncated(b *testing.B, mail [][]byte) ailing {
	d, a := startDovecot(b, mail)
	d.Truncate(b, lossBox, 2, len(mail[2])/2)
	a.left = func() [][]byte {
		left := d.Contents(b, lossBox)
		for i, raw := range left {
			if bytes.Contains(raw, []byte("begin 3")) {
				left[i] = mail[2]
			}
		}
		return left
	}
	return a
}

func dovecotReadOnly(b *testing.B, mail [][]byte) ailing {
	d, a := startDovecot(b, mail)
	d.ReadOnly(b, lossBox, true)
	return a
}

func dovecotDotFirst(b *testing.B, mail [][]byte) ailing {
	mail[1] = slices.Concat([]byte(".\n"), mail[1])
	d := lab.StartDovecot(b, lossBox)
	d.Deliver(b, lossBox, mail...)
	return ailing{address: d.POP3, left: func() [][]byte { return d.Contents(b, lossBox) }}
}
