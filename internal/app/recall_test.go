package app

import (
	"bytes"
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
)

// A shelf is a ledger of messages in memory, for an index to follow.
type shelf [][]byte

func (s shelf) Size() uint64                             { return uint64(len(s)) }
func (s shelf) Wait(ctx context.Context, _ uint64) error { <-ctx.Done(); return ctx.Err() }
func (s shelf) Raw(_ context.Context, id mail.ID) (mail.Raw, error) {
	return shelfRaw{bytes.NewReader(s[id.Seq])}, nil
}

func (s shelf) Records(_ context.Context, from uint64) iter.Seq2[mail.Record, error] {
	return func(yield func(mail.Record, error) bool) {
		for seq := from; seq < s.Size(); seq++ {
			r := mail.Record{ID: mail.ID{Seq: seq}, Kind: mail.KindMessage, Next: seq + 1, Time: time.Unix(int64(seq), 0)}
			r.Delivery.Mailbox, r.Delivery.Size = "corpus", int64(len(s[seq]))
			if !yield(r, nil) {
				return
			}
		}
	}
}

type shelfRaw struct{ *bytes.Reader }

func (shelfRaw) Close() error { return nil }

// realMail returns the messages of the folder that holds real mail, beside the
// module, and those that the parser's tests bring; in CI the folder must be there.
// Large ones are left out: that a text is cut is another test.
func realMail(t *testing.T) shelf {
	t.Helper()
	var out shelf
	for _, root := range []string{"../../parser/testdata", "../../../shared/corpus"} {
		err := filepath.WalkDir(root, func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || !slices.Contains([]string{".eml", ".msg", ".mail", ""}, filepath.Ext(name)) || strings.Contains(name, "/documents/") {
				return err
			}
			b, err := os.ReadFile(name)
			if len(b) < 200_000 {
				out = append(out, b)
			}
			return err
		})
		switch {
		case err == nil:
		case os.IsNotExist(err) && os.Getenv("CI") != "true":
			t.Logf("no real mail at %s", root)
		default:
			t.Fatal(err)
		}
	}
	return out
}

// TestRecallOfRealMail: of each message, the three rarest words of its header, its
// body and its attachments find it. It takes some hundred messages, of every kind;
// all with MAILKEEP_RECALL, as "make crash" does.
func TestRecallOfRealMail(t *testing.T) {
	t.Parallel()
	mails := realMail(t)
	if every := 1 + len(mails)/400; os.Getenv("MAILKEEP_RECALL") == "" {
		for i := range len(mails) / every {
			mails[i] = mails[i*every]
		}
		mails = mails[:len(mails)/every]
	}
	x, err := indexer.Open(indexer.Options{Dir: t.TempDir(), Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	parse := func(_ context.Context, _ mail.Record, raw mail.Raw) (*mail.Message, error) {
		return parser.ParseAt(raw, raw.Size(), parser.DefaultLimits())
	}
	if err := x.CatchUp(t.Context(), mails, parse, parser.EffectiveDate, nil); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	texts := make([]map[string][]string, len(mails))
	for i, raw := range mails {
		texts[i] = wordsByPlace(parser.Parse(raw))
		for _, words := range texts[i] {
			for _, w := range words {
				count[w]++
			}
		}
	}
	asked := 0
	for i := range mails {
		for place, words := range texts[i] {
			slices.SortStableFunc(words, func(a, b string) int { return count[a] - count[b] })
			for _, w := range words[:min(3, len(words))] {
				asked++
				if !finds(t, x, w, uint64(i)) {
					t.Errorf("message %d is not found by %q of its %s", i, w, place)
				}
			}
		}
	}
	t.Logf("%d messages found by %d words", len(mails), asked)
}

// wordsByPlace returns plain words of a message, by a rule of its own.
func wordsByPlace(m *mail.Message) map[string][]string {
	out := map[string][]string{"body": plainWords(m.Text), "subject": plainWords(m.Subject)}
	for _, list := range [][]mail.Address{m.From, m.To, m.Cc} {
		for _, a := range list {
			out["people"] = append(out["people"], plainWords(a.Name+" "+a.Addr)...)
		}
	}
	for _, p := range m.Parts {
		out["attachment"] = append(out["attachment"], plainWords(p.Text)...)
		out["filename"] = append(out["filename"], plainWords(p.FileName)...)
	}
	return out
}

func plainWords(s string) []string {
	words := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
	words = slices.DeleteFunc(words, func(w string) bool { return len(w) < 3 || len(w) > 60 })
	slices.Sort(words)
	return slices.Compact(words)
}

// finds reports whether the word, in quotes, finds the message.
func finds(t *testing.T, x *indexer.Index, word string, seq uint64) bool {
	t.Helper()
	req := mail.SearchRequest{Query: `"` + word + `"`, Limit: indexer.MaxLimit}
	for {
		a, err := x.Search(t.Context(), req, seq+1, nil)
		if err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		if slices.ContainsFunc(a.Hits, func(h mail.Hit) bool { return h.ID.Seq == seq }) {
			return true
		}
		if req.After = a.Next; a.Next == "" {
			return false
		}
	}
}
