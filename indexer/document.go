package indexer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"time"
	"unicode/utf8"

	bleve "github.com/blevesearch/bleve/v2/document"
	"golang.org/x/net/idna"

	"github.com/mailkeep/mailkeep/mail"
)

// formatVersion changes with anything that makes a document differ for the
// same record: the fields, the tokenizer, the stored hit. An index of another
// version is rebuilt.
const formatVersion = 1

// The fields of a document.
const (
	fieldText    = "text"    // words of everything a reader reads, fieldGap between the parts
	fieldMailbox = "mailbox" // keyword
	fieldHas     = "has"     // keyword
	fieldStatus  = "status"  // keyword: the text statuses that are not ok, and statusUnread
	fieldDay     = "day"     // digits of the day of the effective date
	fieldSize    = "size"    // digits of the raw size
	fieldOrder   = "order"   // column: see orderKey
	fieldHit     = "hit"     // stored: sumSize octets of content hash, then the mail.Hit as JSON

	// addrSuffix makes the keyword field of whole addresses of from, to, cc
	// and bcc; the name alone is a field of words.
	addrSuffix = "_addr"

	statusUnread = "unread" // the raw bytes could not be read or parsed at all
)

const (
	maxText   = 1 << 20  // octets of fieldText
	maxField  = 64 << 10 // octets of any other field of words
	maxTitle  = 1 << 10  // octets of a line of the stored hit
	maxNames  = 32       // file names in the stored hit
	maxLabels = 8        // domains above an address that are searchable

	sumSize = 16
)

// A document is what the index holds of one record.
type document struct {
	seq    uint64
	fields []*field
	octets int // of text, for the size of batches
}

// bleve returns the document in the engine's type.
func (d *document) bleve() *bleve.Document {
	out := bleve.NewDocument(docID(d.seq))
	for _, f := range d.fields {
		out.AddField(f)
	}
	return out
}

// docID returns the document id of a record; ids sort by position.
func docID(seq uint64) string { return fmt.Sprintf("%016x", seq) }

// orderKey returns the sort key of a document: the effective date in seconds
// since the year 1 and then the position, so that keys are unique and the
// document can be told from its key.
func orderKey(date time.Time, seq uint64) string {
	return fmt.Sprintf("%010x%016x", min(seconds(date), maxDigits(10)), seq)
}

const orderKeySize = 10 + 16

func seconds(t time.Time) uint64 {
	return uint64(max(0, t.Unix()-time.Time{}.Unix()))
}

func dayOf(t time.Time) uint64 { return seconds(t) / (24 * 60 * 60) }

// newDocument makes the document of a record. msg is nil if the message could
// not be read; the document then says so and holds what the record tells.
func newDocument(r mail.Record, msg *mail.Message, date time.Time) *document {
	b := builder{doc: &document{seq: r.ID.Seq}, sum: sha256.New(), status: map[string]bool{}}
	if msg == nil {
		msg = &mail.Message{}
		b.status[string(mail.TextFailed)] = true
		b.status[statusUnread] = true
	}
	b.people("from", msg.From)
	b.people("to", msg.To)
	b.people("cc", msg.Cc)
	b.people("bcc", msg.Bcc)
	b.words("subject", maxField, msg.Subject)
	b.attachments(msg.Parts)
	b.text(msg)
	b.record(r, date)
	b.statuses(msg.Parts)
	b.hit(r, msg, date)
	return b.doc
}

// A builder collects the fields of one document and the hash of what went in.
type builder struct {
	doc    *document
	sum    hash.Hash
	status map[string]bool
}

// note takes values into the content hash, each with its length.
func (b *builder) note(name string, values ...string) {
	for _, v := range append([]string{name}, values...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(v)))
		b.sum.Write(n[:])
		b.sum.Write([]byte(v))
	}
}

// words adds a field of the texts, at most limit octets of them.
func (b *builder) words(name string, limit int, texts ...string) {
	text, cut := joined(limit, texts)
	if cut {
		b.status[string(mail.TextTruncated)] = true
	}
	b.note(name, text)
	if text == "" {
		return
	}
	b.doc.octets += len(text)
	b.doc.fields = append(b.doc.fields, words(name, text))
}

// joined puts texts into one with gaps between, and reports whether limit cut
// something off.
func joined(limit int, texts []string) (string, bool) {
	var out strings.Builder
	for _, t := range texts {
		if t == "" {
			continue
		}
		if room := limit - out.Len() - 1; len(t) > room {
			out.WriteString(clip(t, room))
			return out.String(), true
		}
		out.WriteString(t)
		out.WriteByte(fieldGap)
	}
	return out.String(), false
}

// clip returns at most n octets of s, not ending inside a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (b *builder) keywords(name string, values ...string) {
	b.note(name, values...)
	if len(values) > 0 {
		b.doc.fields = append(b.doc.fields, keywords(name, values))
	}
}

func (b *builder) people(name string, list []mail.Address) {
	b.words(name, maxField, addressTexts(list)...)
	var addrs []string
	for _, a := range list {
		if a.Addr != "" {
			addrs = append(addrs, addressTerms(a.Addr)...)
		}
	}
	b.keywords(name+addrSuffix, addrs...)
}

func addressTexts(list []mail.Address) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.Name, a.Addr)
		if a.Addr == "" {
			out = append(out, a.Raw)
		}
	}
	return out
}

// addressTerms returns the address and, for @domain searches, its domain and
// the domains above it.
func addressTerms(addr string) []string {
	addr = canonicalAddress(addr)
	out := []string{addr}
	domain := addr[strings.LastIndexByte(addr, '@')+1:]
	for range maxLabels {
		out = append(out, "@"+domain)
		_, above, ok := strings.Cut(domain, ".")
		if !ok {
			break
		}
		domain = above
	}
	return out
}

// canonicalAddress returns the form in which addresses are compared: lower
// case, the domain in ASCII.
func canonicalAddress(addr string) string {
	addr = strings.ToLower(addr)
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr
	}
	domain, err := idna.Lookup.ToASCII(addr[at+1:])
	if err != nil {
		return addr
	}
	return addr[:at+1] + domain
}

func (b *builder) attachments(parts []mail.Part) {
	b.words("filename", maxField, fileNames(parts)...)
	for _, p := range parts {
		if p.Role == mail.RoleAttachment || p.Role == mail.RoleNested {
			b.keywords(fieldHas, "attachment")
			return
		}
	}
}

func fileNames(parts []mail.Part) []string {
	var out []string
	for _, p := range parts {
		if p.FileName != "" {
			out = append(out, p.FileName)
		}
	}
	return out
}

// text adds the field of everything. What people look for first comes first,
// in case the limit cuts the rest off.
func (b *builder) text(m *mail.Message) {
	texts := []string{m.Subject}
	for _, list := range [][]mail.Address{m.From, m.Sender, m.ReplyTo, m.To, m.Cc, m.Bcc} {
		texts = append(texts, addressTexts(list)...)
	}
	texts = append(texts, fileNames(m.Parts)...)
	texts = append(texts, m.Text, m.HTMLText)
	for _, p := range m.Parts {
		texts = append(texts, p.Text)
	}
	b.words(fieldText, maxText, texts...)
}

// record adds what does not depend on the message's bytes being readable.
func (b *builder) record(r mail.Record, date time.Time) {
	key := orderKey(date, r.ID.Seq)
	b.note(fieldOrder, key)
	b.doc.fields = append(b.doc.fields, column(fieldOrder, key))
	b.keywords(fieldMailbox, strings.ToLower(r.Delivery.Mailbox))
	b.keywords(fieldDay, digits(dayOf(date), dayDigits)...)
	b.keywords(fieldSize, digits(uint64(max(0, r.Delivery.Size)), sizeDigits)...)
}

func (b *builder) statuses(parts []mail.Part) {
	for _, p := range parts {
		switch p.TextStatus {
		case "", mail.TextNone, mail.TextOK:
		default:
			b.status[string(p.TextStatus)] = true
		}
	}
	var list []string
	for _, s := range append(partlyStatuses(), statusUnread) {
		if b.status[string(s)] {
			list = append(list, string(s))
		}
	}
	b.keywords(fieldStatus, list...)
}

// partlyStatuses are the text statuses that a coverage statement counts.
func partlyStatuses() []mail.TextStatus {
	return []mail.TextStatus{mail.TextTruncated, mail.TextEncrypted, mail.TextFailed, mail.TextUnsupported}
}

// hit stores what a page of results shows of the document.
func (b *builder) hit(r mail.Record, m *mail.Message, date time.Time) {
	h := mail.Hit{
		ID: r.ID, Mailbox: r.Delivery.Mailbox, Date: date.UTC(), Sealed: r.Time.UTC(),
		Subject: clip(m.Subject, maxTitle), From: title(m.From), To: title(m.To),
		Size: r.Delivery.Size, Attachments: fileNames(m.Parts),
	}
	h.Attachments = h.Attachments[:min(len(h.Attachments), maxNames)]
	js, err := json.Marshal(h)
	if err != nil { // a date outside of the years that JSON can carry
		h.Date, h.Sealed = time.Time{}, time.Time{}
		js, _ = json.Marshal(h)
	}
	b.note(fieldHit, string(js))
	b.doc.fields = append(b.doc.fields, stored(fieldHit, append(b.sum.Sum(nil)[:sumSize], js...)))
}

func title(list []mail.Address) string {
	var out []string
	n := 0
	for _, a := range list {
		s := a.String()
		if n += len(s) + 2; n > maxTitle && len(out) > 0 {
			break
		}
		out = append(out, clip(s, maxTitle))
	}
	return strings.Join(out, ", ")
}
