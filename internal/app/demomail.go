package app

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
)

// A demoMailbox is one mailbox of the demo's sample server.
type demoMailbox struct {
	name     string
	messages [][]byte
}

// demoMailboxes generates the sample mail of the demo: three mailboxes whose
// messages differ in the ways that real mail does. The same seed gives the
// same mail.
func demoMailboxes(start time.Time) []demoMailbox {
	g := &demoWriter{rng: rand.New(rand.NewPCG(1939, 5322)), now: start}
	office := demoMailbox{name: "office"}
	office.add(
		g.plain("Minutes of the Tuesday meeting", "We agreed to renew the lease before the end of March.\nThe harbour crane will be inspected first."),
		g.html("Your invoice 2024-0815", "<p>Please find <b>invoice 2024-0815</b> over 1&nbsp;234,50&nbsp;&euro; below.</p><p>It is due within <i>fourteen days</i>.</p>"),
		g.attachment("Quarterly figures", "quarterly-figures.csv", "text/csv", []byte("quarter,revenue\nQ1,118000\nQ2,127500\nturnover of the harbour branch,9200\n")),
		g.attachment("Inspection report", "inspection.pdf", "application/pdf", demoPDF("The lighthouse keeper reports:", "both lamps were cleaned,", "the foghorn is to be replaced.")),
		g.attachment("Photograph of the site", "site.png", "image/png", g.noise(180<<10)),
	)
	for i := range 60 {
		office.add(g.plain(fmt.Sprintf("Status report %d", i+1), g.sentences(12)))
	}
	sales := demoMailbox{name: "sales"}
	sales.add(
		g.charset("Angebot für die Brücke", "Die Brücke über den Fluß wird im März gestrichen.\nViele Grüße aus Köln", "iso-8859-1", charmap.Windows1252),
		g.charset("Отчёт за квартал", "Договор подписан в понедельник.", "koi8-r", charmap.KOI8R),
		g.charset("会議の議事録", "港のクレーンは来週点検します。", "iso-2022-jp", japanese.ISO2022JP),
		g.malformed(),
		g.attachment("Scanned contract of several megabytes", "contract-scan.tiff", "image/tiff", g.noise(4<<20)),
	)
	for i := range 40 {
		sales.add(g.html(fmt.Sprintf("Offer %d", i+100), "<p>"+g.sentences(20)+"</p>"))
	}
	// The third mailbox got a copy of some of the same mail, byte for byte.
	board := demoMailbox{name: "board"}
	board.add(office.messages[0], office.messages[2], g.plain("Only for the board", "The merger is planned for autumn."))
	return []demoMailbox{office, sales, board}
}

func (m *demoMailbox) add(raw ...[]byte) { m.messages = append(m.messages, raw...) }

// A demoWriter writes messages with CR LF line ends, each a while later than
// the one before.
type demoWriter struct {
	rng *rand.Rand
	now time.Time
	n   int
}

func (g *demoWriter) message(subject, fields, body string) []byte {
	g.n++
	g.now = g.now.Add(time.Duration(1+g.rng.IntN(300)) * time.Minute)
	from := [...]string{"office@example.com", "sales@example.org", "harbour@example.net"}[g.rng.IntN(3)]
	head := fmt.Sprintf("Received: from mx.example.net by mail.example.com; %s\nFrom: %s\nTo: archive@example.com\nSubject: %s\nDate: %s\nMessage-ID: <demo-%d@example.com>\n%s",
		g.now.Add(2*time.Second).Format(time.RFC1123Z), from, subject, g.now.Format(time.RFC1123Z), g.n, fields)
	return []byte(strings.ReplaceAll(head+"\n"+body, "\n", "\r\n"))
}

func (g *demoWriter) plain(subject, text string) []byte {
	return g.message(subject, "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n", text+"\n")
}

func (g *demoWriter) html(subject, html string) []byte {
	return g.message(subject, "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n", "<html><body>"+html+"</body></html>\n")
}

func (g *demoWriter) charset(subject, text, label string, enc encoding.Encoding) []byte {
	word, errW := enc.NewEncoder().String(subject)
	body, errB := enc.NewEncoder().String(text)
	if errW != nil || errB != nil {
		panic("internal error: the demo's text does not fit its charset") // a constant of this file
	}
	encoded := "=?" + label + "?B?" + base64.StdEncoding.EncodeToString([]byte(word)) + "?="
	return g.message(encoded, "MIME-Version: 1.0\nContent-Type: text/plain; charset="+label+"\nContent-Transfer-Encoding: 8bit\n", body+"\n")
}

func (g *demoWriter) attachment(subject, name, ctype string, content []byte) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "--demo-boundary\nContent-Type: text/plain; charset=utf-8\n\nThe file %s is attached.\n--demo-boundary\n", name)
	fmt.Fprintf(&b, "Content-Type: %s; name=%q\nContent-Disposition: attachment; filename=%q\nContent-Transfer-Encoding: base64\n\n", ctype, name, name)
	text := base64.StdEncoding.EncodeToString(content)
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	b.WriteString(text + "\n--demo-boundary--\n")
	return g.message(subject, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=demo-boundary\n", b.String())
}

// malformed breaks several rules at once: a line that is no field, a date in
// no known form, an undeclared charset, base64 with rubbish in it and a
// multipart without its end.
func (g *demoWriter) malformed() []byte {
	return g.message("A malformed message about lighthouses", "this line is not a header field\nDate: the day before yesterday\nContent-Type: multipart/mixed; boundary=broken\n",
		"--broken\nContent-Type: text/plain\n\nThe lighthouse caf\xe9 is closed.\n--broken\nContent-Type: text/plain; name=note.txt\nContent-Transfer-Encoding: base64\n\nVGhlIGxhbXA*gaXMgb24u\n")
}

func (g *demoWriter) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rng.Uint32())
	}
	return b
}

// demoWords are the words of the generated sentences.
var demoWords = strings.Fields("the a one this next last harbour crane bridge river lease contract invoice meeting report engine pump valve pressure schedule delivery warehouse winter spring supplier customer answer question budget estimate is was will be has been checked moved painted ordered paid signed sent returned before after without under near quickly again")

func (g *demoWriter) sentences(n int) string {
	var b strings.Builder
	for range n {
		for i := range 6 + g.rng.IntN(9) {
			w := demoWords[g.rng.IntN(len(demoWords))]
			if i == 0 {
				w = strings.ToUpper(w[:1]) + w[1:]
			} else {
				b.WriteByte(' ')
			}
			b.WriteString(w)
		}
		b.WriteString(".\n")
	}
	return b.String()
}
