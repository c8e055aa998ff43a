package indexer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A readyLedger holds mails as they lie in a Maildir, made before anything is
// measured.
type readyLedger struct {
	bigLedger
	mails []mail.Message
	raws  [][]byte
}

func ready(docs int) *readyLedger {
	l := &readyLedger{bigLedger: bigLedger{uint64(docs)}}
	for seq := range docs {
		m := bigMail(uint64(seq))
		var b bytes.Buffer
		fmt.Fprintf(&b, "Message-ID: <%d@example.org>\nDate: %s\nFrom: %s\nTo: %s, %s\nSubject: %s\n\n",
			seq, m.DateHeader.Format(time.RFC1123Z), m.From[0], m.To[0], m.To[1], m.Subject)
		for i, w := range strings.Fields(m.Text) {
			b.WriteString(w)
			b.WriteByte(" \n"[min(i%12, 11)/11])
		}
		l.mails, l.raws = append(l.mails, m), append(l.raws, b.Bytes())
	}
	return l
}

func (l *readyLedger) Raw(_ context.Context, id mail.ID) (mail.Raw, error) {
	return fakeRaw{bytes.NewReader(l.raws[id.Seq])}, nil
}

// readMail is a parser of what ready wrote.
func readMail(_ context.Context, _ mail.Record, raw mail.Raw) (*mail.Message, error) {
	m, err := netmail.ReadMessage(io.NewSectionReader(raw, 0, raw.Size()))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return nil, err
	}
	date, err := m.Header.Date()
	out := &mail.Message{Subject: m.Header.Get("Subject"), MessageID: m.Header.Get("Message-ID"), Text: string(body), DateHeader: date}
	for list, name := range map[*[]mail.Address]string{&out.From: "From", &out.To: "To"} {
		all, _ := m.Header.AddressList(name)
		for _, a := range all {
			*list = append(*list, mail.Address{Name: a.Name, Addr: a.Address})
		}
	}
	return out, err
}

// A cost is what a program took for the same mails.
type cost struct {
	name   string
	busy   time.Duration // of processor time, of the kernel included
	octets int64
}

// beside indexes the same mails with this package and with other programs, one
// behind the other, and logs what each takes. What is not installed is named.
//
// SQLite gets the text of the bodies alone, in one contentless FTS5 table, and so
// is set beside an index of messages that were read before. notmuch and mu read
// Maildirs, and are set beside an index whose messages are read, by net/mail.
func beside(b *testing.B, docs int) {
	l := ready(docs)
	octets := 0
	for i := range l.mails {
		octets += len(l.mails[i].Text)
	}
	texts := own(b, "texts", l, func(_ context.Context, r mail.Record, _ mail.Raw) (*mail.Message, error) {
		return &l.mails[r.ID.Seq], nil
	})
	mails := own(b, "mails", l, readMail)
	maildir := b.TempDir()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.Mkdir(filepath.Join(maildir, d), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	for i, raw := range l.raws {
		if err := os.WriteFile(filepath.Join(maildir, "cur", fmt.Sprintf("%d.example:2,S", i)), raw, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []*cost{&texts, sqlite(b, l), &mails, notmuch(b, maildir), mu(b, maildir)} {
		if c == nil {
			continue
		}
		base := mails
		if c == &texts || strings.HasPrefix(c.name, "SQLite") {
			base = texts
		}
		b.Logf("%-28s %6.0f mails/cpu-s, index/text %.2f; mailkeep makes %.2f times as many", c.name,
			float64(docs)/c.busy.Seconds(), float64(c.octets)/float64(octets), c.busy.Seconds()/base.busy.Seconds())
	}
}

func own(b *testing.B, what string, l *readyLedger, parse ParseFunc) cost {
	dir := b.TempDir()
	x, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	before := cpu()
	if err := x.CatchUp(b.Context(), l, parse, headerDate, nil); err != nil {
		b.Fatal(err)
	}
	busy := cpu() - before
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	return cost{"mailkeep, " + what, busy, diskUse(b, dir)}
}

// spent runs a program of another kind and returns the processor time that it
// took; false if it is not installed.
func spent(b *testing.B, in io.Reader, name string, args ...string) (time.Duration, string, bool) {
	path, err := exec.LookPath(name)
	if err != nil {
		b.Logf("NOT COMPARED: %s is not installed", name)
		return 0, "", false
	}
	cmd := exec.CommandContext(b.Context(), path, args...)
	cmd.Stdin = in
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), string(out), true
}

// ftsScript indexes the lines of its input with SQLite FTS5 and prints the
// seconds of processor time that this took.
const ftsScript = `
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
db.execute("pragma journal_mode=wal"); db.execute("create virtual table m using fts5(body, content='')")
lines = sys.stdin.read().split("\n")
t = time.process_time()
for i, line in enumerate(lines):
    db.execute("insert into m(rowid, body) values(?, ?)", (i + 1, line))
    if i % 500 == 499: db.commit()
db.commit(); print(time.process_time() - t)
db.execute("insert into m(m) values('optimize')"); db.commit(); db.execute("pragma wal_checkpoint(truncate)")
`

func sqlite(b *testing.B, l *readyLedger) *cost {
	var texts strings.Builder
	for i := range l.mails {
		texts.WriteString(l.mails[i].Text + "\n")
	}
	dir := b.TempDir()
	_, out, ok := spent(b, strings.NewReader(strings.TrimSpace(texts.String())), "python3", "-c", ftsScript, filepath.Join(dir, "fts.db"))
	if !ok {
		return nil
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	if err != nil {
		b.Fatalf("python3 prints %q", out)
	}
	return &cost{"SQLite FTS5, texts", time.Duration(seconds * float64(time.Second)), diskUse(b, dir)}
}

func notmuch(b *testing.B, maildir string) *cost {
	conf := filepath.Join(b.TempDir(), "notmuchrc")
	text := "[database]\npath=" + maildir + "\n[user]\nname=x\nprimary_email=anna@example.org\n[new]\ntags=unread\n[maildir]\nsynchronize_flags=false\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	busy, _, ok := spent(b, nil, "notmuch", "--config="+conf, "new", "--quiet")
	if !ok {
		return nil
	}
	octets := diskUse(b, filepath.Join(maildir, ".notmuch"))
	if err := os.RemoveAll(filepath.Join(maildir, ".notmuch")); err != nil {
		b.Fatal(err)
	}
	return &cost{"notmuch, mails", busy, octets}
}

func mu(b *testing.B, maildir string) *cost {
	home := filepath.Join(b.TempDir(), "mu")
	if _, _, ok := spent(b, nil, "mu", "init", "--quiet", "--muhome="+home, "--maildir="+maildir); !ok {
		return nil
	}
	busy, _, _ := spent(b, nil, "mu", "index", "--quiet", "--muhome="+home)
	return &cost{"mu, mails", busy, diskUse(b, home)}
}
