package indexer

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A mailing is a message that is about to be added to a ledger.
type mailing struct {
	mailbox string
	msg     *mail.Message
}

// A plant puts something into a mailing that its queries find, and that those
// of the other plants do not.
type plant struct {
	queries string // one a line
	put     func(m *mailing)
}

func (m *mailing) attach(p mail.Part) {
	if p.Role == "" {
		p.Role = mail.RoleAttachment
	}
	m.msg.Parts = append(m.msg.Parts, p)
}

// plantDigest is the digest of the n-th planted thing.
func plantDigest(n int) mail.Digest { return mail.DigestOf([]byte{byte(n)}) }

func hexOf(n, octets int) string { d := plantDigest(n); return hex.EncodeToString(d[:octets]) }

func text(s string) func(*mailing) { return func(m *mailing) { m.msg.Text += " " + s + "." } }

// plants are one for each way to ask, with decoys that a careless index would
// find: words in the wrong order, in the wrong field, too far apart.
func plants() []plant {
	return []plant{
		{"planta\nbody:planta\nPLANTA", text("planta")},
		{"subject:plantb\nplantb -body:plantb", func(m *mailing) { m.msg.Subject += " plantb" }},
		{"attachment:plantc\nplantc", func(m *mailing) { m.attach(mail.Part{Text: "see plantc", TextStatus: mail.TextOK}) }},
		{"attachment:plantcc\nattachment:\"headed plantcc\"", func(m *mailing) {
			m.attach(mail.Part{Role: mail.RoleNested, Message: &mail.Nested{Subject: "headed plantcc", From: people[:1]}})
		}},
		{"filename:plantd\nattachment:plantd\nfiletype:pld\nfilename:\"plantd 7\"", func(m *mailing) { m.attach(mail.Part{FileName: "plantd-7.PLD"}) }},
		{`"plante plantee planteee"`, text("plante plantee planteee")},
		{`"planteee plantee plante"`, text("planteee plantee plante")},
		{"\"plantf plantff\"~3\n\"plantff plantf\"~3", text("plantff one two three plantf")},
		{"plantfar\n\"plantf plantfar\"~1", text("plantfar plantf one two three four plantff")},
		{"\"plantr plantr\"~2\n\"plantr plantr\"~50", text("plantr one two plantr")},
		{"plantg*\nplantgu*\nbody:plantgul*", text("plantgulator")},
		{"planthx~\nplanthxxx~ -planthxxxyyy\nbody:plnthxx~", text("planthxx")},
		{"stem:plantinated\nstem:plantinating", text("plantinates")},
		{"stem:plantungen\nplantung OR stem:plantung", text("plantung")},
		{"planterei\nplaentereien OR plaenterei\nPLÄNTEREI\n\"die plaenterei ist\"\nplaenter*", text("Die Plänterei ist")},
		{"plantåse\nplantaase -plantasse\nplantase", text("Plantåse")},
		{"plant9w\nbody:PLANT9W", text("ＰＬＡＮＴ９Ｗ")},
		{"plantﬁ\nplantfi", text("plantﬁ")},
		{"植物園\n植物\n\"植物 園\"", text("ここは植物園です")},
		{"from:planti\nfrom:planti@from.plant\nfrom:planti@\nfrom:@from.plant\nfrom:*lanti*\nparticipants:planti@from.plant\ndomain:from.plant\nfrom:planti@from.p*",
			func(m *mailing) { m.msg.From = append(m.msg.From, mail.Address{Addr: "planti@from.plant"}) }},
		{"to:\"jane plantj\"\nto:plantj*\nto:plntj~\nparticipants:plantj\nto:@plantj.example\nto:@sub.plantj.example\ndomain:plantj.example\ndomain:*antj.ex*\ndomain:plantj.*",
			func(m *mailing) {
				m.msg.To = append(m.msg.To, mail.Address{Name: "Jane Plantj", Addr: "jane@sub.plantj.example"})
			}},
		{"cc:plantk@example.org\nto:plantk@example.org OR cc:plantk@example.org", func(m *mailing) { m.msg.Cc = append(m.msg.Cc, mail.Address{Addr: "plantk@example.org"}) }},
		{"bcc:plantl@example.org\nbcc:plantl", func(m *mailing) {
			m.msg.Envelope = &mail.Envelope{Source: "X-Original-To", Recipients: []mail.Recipient{{Role: "bcc", Addr: "plantl@example.org"}}}
		}},
		{"participants:plantm@example.org -from:plantm -to:plantm\nplantm", func(m *mailing) { m.msg.ReplyTo = []mail.Address{{Addr: "plantm@example.org"}} }},
		{"domain:xn--plnt-moa.example\nfrom:@plänt.example\nfrom:idna@plänt.example", func(m *mailing) {
			m.msg.From = append(m.msg.From, mail.Address{Addr: "idna@plänt.example"})
		}},
		{"hash:" + hexOf(1, 32) + "\nhash:" + hexOf(1, 4) + "\nhash:" + strings.ToUpper(hexOf(1, 20)), func(m *mailing) { m.attach(mail.Part{Digest: plantDigest(1)}) }},
		{"copy:" + hexOf(2, 32) + "\ncopy:" + hexOf(2, 8), func(m *mailing) { m.msg.Copy = plantDigest(2) }},
		{"message-id:Plant.N@example.org\nrfc822msgid:<Plant.N@example.org>", func(m *mailing) { m.msg.MessageID = "Plant.N@example.org" }},
		{"list:planto.example.org\nlist:PLANTO\nis:list", func(m *mailing) { m.msg.List = &mail.List{ID: "planto.example.org"} }},
		{"defect:PLANT_BAD\ndefect:loss", func(m *mailing) { m.msg.Defects = []mail.Defect{{Code: "PLANT_BAD", Severity: mail.Loss}} }},
		{"lang:de", func(m *mailing) { m.msg.Text = strings.Repeat("die und das nicht mit sie ich wir auf für. ", 5) }},
		{"lang:ja", func(m *mailing) { m.msg.Text = strings.Repeat("これはペンです.", 50) }},
		{"parser:77", func(m *mailing) { m.msg.Parser = 77 }},
		{"extractor:plant\nextractor:plant/3", func(m *mailing) { m.attach(mail.Part{Extractor: &mail.Extractor{Name: "plant", Version: 3}}) }},
		{"mailbox:plantbox\nmailbox:PlantBox", func(m *mailing) { m.mailbox = "PlantBox" }},
		{"on:1999\nbefore:2000\non:1999-05-06..1999-05-07\non:1999-05-06\nduring:..1999\nolder_than:20y", func(m *mailing) {
			m.msg.DateHeader = time.Date(1999, 5, 6, 23, 59, 59, 0, time.UTC)
		}},
		{"after:2031\non:2031-01-01\non:2031..\nafter:2031-01-01 before:2031-01-02", func(m *mailing) { m.msg.DateHeader = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"received:2011-07\nreceived:2011-07-08", func(m *mailing) { m.msg.DateReceived = time.Date(2011, 7, 8, 9, 10, 11, 0, time.UTC) }},
		{"larger:40M\nlarger:41943040\n-smaller:41943041", func(m *mailing) { m.msg.Size = 40<<20 + 1 }},
		{"smaller:10\n-larger:9", func(m *mailing) { m.msg.Size = 9 }},
		{"has:pdf\nfiletype:application/pdf", func(m *mailing) { m.attach(mail.Part{Type: "application/pdf"}) }},
		{"has:image\nfiletype:image/png\nfiletype:image/*", func(m *mailing) { m.attach(mail.Part{Role: mail.RoleInline, Type: "image/png"}) }},
		{"has:spreadsheet\nfiletype:.XLSX", func(m *mailing) { m.attach(mail.Part{FileName: "a.xlsx", Type: "application/octet-stream"}) }},
		{"has:link", text("https://plant.example/")},
		{"is:bounce\nparticipants:plantp@example.org", func(m *mailing) {
			m.msg.Report = &mail.Report{Kind: "dsn", Recipients: []mail.ReportRecipient{{Final: "plantp@example.org"}}}
		}},
		{"is:encrypted\nis:(encrypted OR signed)", func(m *mailing) { m.msg.Crypto = &mail.Crypto{Kind: "pgp", Encrypted: true} }},
		{"is:reply", func(m *mailing) { m.msg.References = []string{"plant@example.org"} }},
		{"is:forward", func(m *mailing) { m.msg.Subject = "WG: " + m.msg.Subject }},
		{"is:partial", func(m *mailing) { m.attach(mail.Part{TextStatus: mail.TextTimeout}) }},
	}
}

// sow makes a ledger of n mails, each with some of the plants, and returns where
// each is.
func sow(n int, seed uint64) (*fakeLedger, [][]uint64) {
	l, all := newLedger(), plants()
	truth := make([][]uint64, len(all))
	r := rand.New(rand.NewPCG(seed, 5))
	filler := strings.Fields("invoice report annual budget meeting contract figures delivery order customer the of and to with")
	for seq := range n {
		m := &mailing{mailbox: "sales", msg: &mail.Message{
			Subject: pick(r, filler), From: people[:1:1], To: people[1:2:2], Size: 1000 + int64(r.IntN(100_000)),
			DateHeader: epoch.Add(time.Duration(r.IntN(300*24)) * time.Hour),
		}}
		for range 5 + r.IntN(40) {
			m.msg.Text += pick(r, filler) + " "
		}
		for range r.IntN(4) {
			i := r.IntN(len(all))
			if slices.Contains(truth[i], uint64(seq)) {
				continue
			}
			before := *m.msg
			box := m.mailbox
			all[i].put(m)
			if clash(&before, m.msg) {
				*m.msg, m.mailbox = before, box
				continue
			}
			truth[i] = append(truth[i], uint64(seq))
		}
		l.add(m.mailbox, m.msg)
	}
	return l, truth
}

// clash reports whether putting a plant has pulled out another.
func clash(before, after *mail.Message) bool {
	return !before.DateHeader.Equal(after.DateHeader) && (before.DateHeader.Year() != 2024) ||
		before.Size != after.Size && (before.Size < 1000 || before.Size > 1<<20) ||
		before.Text != "" && !strings.HasPrefix(after.Text, before.Text) && strings.Contains(before.Text, ".") ||
		before.List != nil && before.List != after.List || before.Envelope != nil && before.Envelope != after.Envelope
}

// TestPlantedTruth: each way to ask finds exactly what was planted for it, alone,
// negated and combined with others; in shards and segments, and once more after
// the index was opened again and built again. MAILKEEP_PLANTED is how many mails,
// 1,500 where it is not set; "make crash" takes 100,000.
func TestPlantedTruth(t *testing.T) {
	t.Parallel()
	n := 1500
	if s := os.Getenv("MAILKEEP_PLANTED"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	l, truth := sow(n, 3)
	dir := filepath.Join(t.TempDir(), "index")
	o := Options{Dir: dir, BatchBytes: 64 << 10, ShardDocs: max(n/4, 500), ShardMin: 100, Now: func() time.Time { return epoch }}
	for _, state := range []string{"built", "opened again", "built again"} {
		if state == "built again" {
			if err := Drop(dir); err != nil {
				t.Fatal(err)
			}
		}
		x, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		catchUp(t, x, l)
		harvest(t, x, l, truth, state == "built")
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// harvest asks for all plants; with deep, for their opposites and for pairs too.
func harvest(t *testing.T, x *Index, l *fakeLedger, truth [][]uint64, deep bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	all := plants()
	for i, p := range all {
		for q := range strings.SplitSeq(p.queries, "\n") {
			expect(t, x, l, q, truth[i])
		}
		if !deep {
			continue
		}
		first, _, _ := strings.Cut(p.queries, "\n")
		expect(t, x, l, "-("+first+")", without(l, truth[i]))
		j := r.IntN(len(all))
		other, _, _ := strings.Cut(all[j].queries, "\n")
		both := slices.DeleteFunc(slices.Clone(truth[i]), func(seq uint64) bool { return !slices.Contains(truth[j], seq) })
		expect(t, x, l, "("+first+") ("+other+")", both)
		either := append(slices.Clone(truth[i]), truth[j]...)
		slices.Sort(either)
		expect(t, x, l, "("+first+") OR ("+other+")", slices.Compact(either))
	}
}

func without(l *fakeLedger, seqs []uint64) []uint64 {
	var out []uint64
	for _, r := range l.records {
		if !slices.Contains(seqs, r.ID.Seq) {
			out = append(out, r.ID.Seq)
		}
	}
	return out
}

// expect asks once for all hits, however many.
func expect(t *testing.T, x *Index, l *fakeLedger, q string, want []uint64) {
	t.Helper()
	if len(want) == 0 && len(l.records) > 1000 && !strings.HasPrefix(q, "(") {
		t.Errorf("%s: nothing was planted", q)
	}
	a, err := x.Search(t.Context(), mail.SearchRequest{Query: q, Strict: true}, l.Size(), nil)
	if err != nil {
		t.Errorf("%s: %v", q, err)
		return
	}
	if a.Total != uint64(len(want)) {
		t.Errorf("%s: %d hits, want %d", q, a.Total, len(want))
		return
	}
	if len(want) > 400 {
		return // the number will do
	}
	got := find(t, x, l, q)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s: found %v, want %v", q, got, want)
	}
}
