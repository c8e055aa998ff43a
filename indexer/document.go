package indexer

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"time"
	"unicode/utf8"

	bleve "github.com/blevesearch/bleve/v2/document"

	"github.com/mailkeep/mailkeep/indexer/segments"
	"github.com/mailkeep/mailkeep/indexer/threads"
	"github.com/mailkeep/mailkeep/mail"
)

// formatVersion changes with anything that makes a document differ for the
// same record: the fields, the tokenizer, the stored hit. An index of another
// version is rebuilt.
const formatVersion = 3

// oldestReadable is the oldest format whose documents the evaluator finds its
// way in. An index of a format since then is searched while it is built anew.
const oldestReadable = 2

// classFormat is the first format whose documents have their class.
const classFormat = 3

// The fields of words of a document. Each text is in one of them alone; what is
// asked for anywhere is looked up in all.
const (
	fieldSubject    = "subject"
	fieldBody       = "body"
	fieldAttachment = "attachment" // texts of parts, heads of nested messages
	fieldFileName   = "filename"
	fieldFrom       = "from"
	fieldTo         = "to"
	fieldCc         = "cc"
	fieldBcc        = "bcc"
	fieldOther      = "other" // other people: Sender, Reply-To, envelopes, reports
)

// addrSuffix makes, of a field of people, the field of keywords that has their
// addresses; see addressTerms.
const addrSuffix = "_addr"

// The other fields. Where nothing else is said, they are keywords in lower case.
const (
	fieldMailbox   = "mailbox"
	fieldClass     = "class"     // of retention; mail.ClassNone without one
	fieldHas       = "has"       // of query.HasValues
	fieldIs        = "is"        // of query.IsValues
	fieldStatus    = "status"    // the text statuses that are not ok, and statusUnread
	fieldType      = "type"      // extensions, media types, and their first half with the slash
	fieldHash      = "hash"      // hashSize octets of SHA-256, of the message and of its parts
	fieldCopy      = "copy"      // hashSize octets of mail.Message.Copy
	fieldMessageID = "msgid"     // as it is
	fieldList      = "list"      // List-Id and its first label
	fieldLang      = "lang"      // see language
	fieldDefect    = "defect"    // codes and severities
	fieldParser    = "parser"    // version
	fieldExtractor = "extractor" // name, and name/version
	fieldDate      = "date"      // digits of the effective date
	fieldReceived  = "received"  // digits of the date of the topmost Received field
	fieldSealed    = "sealed"    // digits of the time of the record
	fieldSize      = "size"      // digits of the raw size
	fieldOrder     = "order"     // column: see orderKey
	fieldOf        = "of"        // docID of the message that a reference refers to
	fieldHit       = "hit"       // stored: sumSize octets of content hash, then the mail.Hit as JSON

	statusUnread = "unread" // the raw bytes could not be read or parsed at all
)

const (
	maxText  = 1 << 20   // octets of the body, and of the attachments
	maxField = 256 << 10 // octets of any other field of words
	maxTitle = 1 << 10   // octets of a line of the stored hit
	maxNames = 32        // file names in the stored hit

	maxKeywords = 1 << 16 // different values of one field of keywords
	maxKeyword  = 998     // octets of one

	sumSize  = 16
	hashSize = 16 // enough: nobody finds two messages that agree in them
)

// A document is what the index holds of one record.
type document struct {
	seq    uint64
	fields []*field
	octets int           // of text, for the size of batches
	link   *threads.Link // nil of a message that could not be read
}

// bleve returns the document in the engine's type.
func (d *document) bleve() *bleve.Document {
	return (&segments.Content{Fields: d.fields}).Document(docID(d.seq))
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

// maxOrderKey is more than any order key.
const maxOrderKey = "~"

func seconds(t time.Time) uint64 {
	return uint64(max(0, t.Unix()-time.Time{}.Unix()))
}

// quarterOf returns the quarter of an hour that t is in.
func quarterOf(t time.Time) uint64 { return seconds(t) / (15 * 60) }

// newDocument makes the document of a record. msg is nil if the message could
// not be read; the document then says so and holds what the record tells.
func newDocument(made *analysis, r mail.Record, msg *mail.Message, date time.Time) *document {
	b := builder{made: made, doc: &document{seq: r.ID.Seq, fields: make([]*field, 0, 32)}, sum: sha256.New(), status: map[string]bool{}}
	if msg == nil {
		msg = &mail.Message{}
		b.status[string(mail.TextFailed)] = true
		b.status[statusUnread] = true
	} else {
		b.keywords(fieldParser, fmt.Sprint(msg.Parser))
	}
	b.people(peopleOf(msg))
	b.words(fieldSubject, maxField, subjects(msg)...)
	b.words(fieldFileName, maxField, fileNames(msg.Parts)...)
	body := b.words(fieldBody, maxText, msg.Text, msg.HTMLText)
	b.words(fieldAttachment, maxText, attachmentTexts(msg.Parts)...)
	b.kinds(r, msg, body)
	b.record(r, msg, date)
	b.statuses(msg.Parts)
	b.hit(r, msg, date)
	return b.doc
}

// A builder collects the fields of one document and the hash of what went in.
type builder struct {
	doc    *document
	made   *analysis // makes the fields
	sum    hash.Hash
	status map[string]bool
}

// note takes values into the content hash, each with its length.
func (b *builder) note(name string, values ...string) {
	b.noteOne(name)
	for _, v := range values {
		b.noteOne(v)
	}
}

func (b *builder) noteOne(v string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(v)))
	b.sum.Write(n[:])
	b.sum.Write([]byte(v))
}

// words adds a field of the texts, at most limit octets of them, and returns
// it; nil if there are none.
func (b *builder) words(name string, limit int, texts ...string) *field {
	text, cut := joined(limit, texts)
	if cut {
		b.status[string(mail.TextTruncated)] = true
	}
	b.note(name, text)
	if text == "" {
		return nil
	}
	b.doc.octets += len(text)
	f := b.made.words(name, text)
	b.doc.fields = append(b.doc.fields, f)
	return f
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
		out.Grow(len(t) + 1)
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

// keywords adds a field of the values. A name must not be given twice.
func (b *builder) keywords(name string, values ...string) {
	b.note(name, values...)
	f := b.made.keywords(name, values...)
	if len(f.Terms) >= maxKeywords {
		b.status[string(mail.TextTruncated)] = true
	}
	if len(f.Terms) > 0 {
		b.doc.fields = append(b.doc.fields, f)
	}
}

// record adds what does not depend on the message's bytes being readable, and
// the dates.
func (b *builder) record(r mail.Record, m *mail.Message, date time.Time) {
	key := orderKey(date, r.ID.Seq)
	b.note(fieldOrder, key)
	b.doc.fields = append(b.doc.fields, b.made.column(fieldOrder, key))
	if r.Kind == mail.KindReference {
		b.keywords(fieldOf, docID(r.Of.Seq))
	}
	b.keywords(fieldMailbox, strings.ToLower(r.Delivery.Mailbox))
	b.keywords(fieldClass, strings.ToLower(cmp.Or(r.Delivery.Class.Name, mail.ClassNone)))
	b.time(fieldDate, date)
	b.time(fieldReceived, m.DateReceived)
	b.time(fieldSealed, r.Time)
	b.keywords(fieldSize, digits(uint64(max(0, r.Delivery.Size)), sizeDigits)...)
}

func (b *builder) time(name string, t time.Time) {
	if !t.IsZero() {
		b.keywords(name, digits(quarterOf(t), timeDigits)...)
	}
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
	return []mail.TextStatus{
		mail.TextTruncated, mail.TextEncrypted, mail.TextFailed, mail.TextTimeout, mail.TextUnsupported, mail.TextSkipped,
	}
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
