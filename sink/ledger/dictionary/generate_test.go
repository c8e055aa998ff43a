package dictionary_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A generator invents the bodies of records: metadata and mail as the systems
// and programs of many makers write it. The same seed gives the same.
type generator struct {
	r   *rand.Rand
	buf bytes.Buffer
}

func newGenerator(seed uint64) *generator {
	return &generator{r: rand.New(rand.NewPCG(seed, 0x6d61696c))}
}

// body returns u32 length of the metadata || metadata || content, as the codec
// of the ledger gets it.
func (g *generator) body() []byte {
	switch g.r.IntN(20) {
	case 0:
		return frame(g.drain(), nil)
	case 1, 2:
		raw := g.message()
		of := mail.ID{Seq: g.r.Uint64N(1 << 30)}
		return frame(map[string]any{"of": of}, nil, g.delivery(raw))
	}
	raw := g.message()
	return frame(nil, raw, g.delivery(raw))
}

// frame joins metadata and content; events are content alone.
func frame(extra any, raw []byte, d ...mail.Delivery) []byte {
	var note []byte
	switch {
	case len(d) == 0:
		raw, _ = json.Marshal(extra)
	case extra != nil:
		of := extra.(map[string]any)["of"].(mail.ID)
		note, _ = json.Marshal(struct {
			mail.Delivery
			Of *mail.ID `json:"of,omitempty"`
		}{d[0], &of})
	default:
		note, _ = json.Marshal(d[0])
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(note)))
	return append(append(b, note...), raw...)
}

func (g *generator) delivery(raw []byte) mail.Delivery {
	return mail.Delivery{
		Capture: mail.Capture{
			Mailbox: g.user() + "@" + g.domain(), UIDL: mail.Octets(g.hex(16)), ListSize: int64(len(raw)),
			Session: g.hex(16), Host: g.pick("pop", "pop3", "mail", "outlook") + "." + g.domain(),
			TLS: g.pick("TLS 1.3 TLS_AES_128_GCM_SHA256", "TLS 1.3 TLS_AES_256_GCM_SHA384", ""), Worker: "poller-" + g.digits(1),
			Fetched: g.when(),
		},
		Fingerprint: mail.FingerprintOf(raw),
	}
}

func (g *generator) drain() mail.Event {
	at, n := g.when(), g.r.IntN(40)
	d := &mail.Drain{
		Session: g.hex(16), Mailbox: g.user() + "@" + g.domain(), Host: "pop." + g.domain(), TLS: "TLS 1.3 TLS_AES_128_GCM_SHA256",
		Worker: "poller-" + g.digits(1), Started: at, Ended: at.Add(3 * time.Second),
		Listed: n, Octets: int64(n) * 20_000, Fetched: n, Sealed: n, Deleted: n, Outcome: "ok",
	}
	for i := range min(n, 8) {
		d.Rows = append(d.Rows, mail.DrainRow{Number: i + 1, UIDL: mail.Octets(g.hex(8)), Size: g.r.Int64N(90_000), ID: &mail.ID{Seq: g.r.Uint64N(1 << 24)}, Deleted: true})
	}
	return mail.Event{Type: mail.EventDrain, Drain: d}
}

// message returns mail with CR LF at the ends of its lines.
func (g *generator) message() []byte {
	g.buf.Reset()
	g.received()
	g.authentication()
	g.identification()
	g.extras()
	switch g.r.IntN(10) {
	case 0, 1, 2:
		g.plain()
	case 3, 4, 5, 6:
		g.alternative()
	case 7, 8:
		g.attached()
	default:
		g.report()
	}
	return g.buf.Bytes()
}

// line writes lines of a template: each {name} is replaced by an invention.
func (g *generator) line(templates ...string) {
	for _, t := range templates {
		g.buf.WriteString(g.fill(t))
		g.buf.WriteString("\r\n")
	}
}

// fill replaces the names in braces.
func (g *generator) fill(t string) string {
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(t, "{")
		b.WriteString(head)
		if !ok {
			return b.String()
		}
		name, tail, _ := strings.Cut(rest, "}")
		b.WriteString(g.invent(name))
		t = tail
	}
}

func (g *generator) invent(name string) string {
	switch name {
	case "addr":
		return g.user() + "@" + g.domain()
	case "host":
		return g.pick("mx", "mail", "smtp", "out", "relay") + g.digits(1) + "." + g.domain()
	case "dom":
		return g.domain()
	case "name":
		return g.name()
	case "ip":
		return fmt.Sprintf("%d.%d.%d.%d", g.r.IntN(224), g.r.IntN(256), g.r.IntN(256), g.r.IntN(256))
	case "date":
		return g.when().Format(time.RFC1123Z)
	case "hex":
		return g.hex(12)
	case "b64":
		return g.base64(32)
	case "n":
		return g.digits(6)
	case "s":
		return g.sentence()
	case "w":
		return g.word()
	}
	panic("no invention for " + name)
}

func (g *generator) pick(of ...string) string { return of[g.r.IntN(len(of))] }

func (g *generator) user() string {
	return g.pick("info", "sales", "support", "office", "accounts", "noreply", "no-reply", g.word()) + g.pick("", "", g.digits(2))
}

func (g *generator) domain() string {
	return g.word() + g.pick(".example", ".example.com", ".example.org", ".example.net")
}

func (g *generator) name() string { return capital(g.word()) + " " + capital(g.word()) }

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (g *generator) when() time.Time {
	return time.Unix(1_700_000_000+g.r.Int64N(90_000_000), 0).UTC()
}

func (g *generator) digits(n int) string { return fmt.Sprintf("%0*d", n, g.r.IntN(pow10(n))) }

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

func (g *generator) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return b
}

func (g *generator) hex(n int) string    { return fmt.Sprintf("%x", g.random(n)) }
func (g *generator) base64(n int) string { return base64.StdEncoding.EncodeToString(g.random(n)) }

// word invents a word, so that no word of anybody's mail is learned by chance.
func (g *generator) word() string {
	const onset, nucleus = "bcdfghjklmnprstvwz", "aeiou"
	var b strings.Builder
	for range 2 + g.r.IntN(3) {
		b.WriteByte(onset[g.r.IntN(len(onset))])
		b.WriteByte(nucleus[g.r.IntN(len(nucleus))])
	}
	return b.String()
}
