package indexer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	recallWords = 3       // of each text are looked for
	recallTried = 48      // words of each text, of which those are the rarest
	recallText  = 1 << 16 // octets of each text that words are taken from
)

// A recallPlace is a text of a message, by the field that it is searched by.
type recallPlace struct {
	field string // of the query language
	text  string // as far as it is indexed
}

// recallPlaces returns the texts of a message, as newDocument takes them.
func recallPlaces(m *mail.Message) []recallPlace {
	all := []struct {
		field string
		limit int
		texts []string
	}{
		{"subject", maxField, subjects(m)}, {"body", maxText, []string{m.Text, m.HTMLText}},
		{"attachment", maxText, attachmentTexts(m.Parts)}, {"filename", maxField, fileNames(m.Parts)},
		{"from", maxField, addressTexts(m.From)}, {"to", maxField, addressTexts(m.To)},
	}
	out := make([]recallPlace, len(all))
	for i, p := range all {
		out[i].field = p.field
		out[i].text, _ = joined(p.limit, p.texts)
	}
	return out
}

// Recall reports whether the index finds a record by its mailbox and the rarest
// words of each of its texts, asked for as a person would. m is what the parser
// makes of it. lost says what does not find it, empty if all does; it does not tell
// the words. Errors: mail.Temporary if the shard of the record cannot answer, such
// as while it is being built.
func (x *Index) Recall(ctx context.Context, r mail.Record, m *mail.Message) (lost []string, err error) {
	view, err := x.view()
	if err != nil {
		return nil, err
	}
	defer view.close()
	here := query.Records{Seqs: []uint64{r.ID.Seq}}
	ok, err := x.holds(ctx, view, r.ID.Seq, here)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return []string{"it is not in the index"}, nil
	}
	box := query.Exact{Name: "mailbox", Value: strings.ToLower(r.Delivery.Mailbox)}
	if ok, err = x.holds(ctx, view, r.ID.Seq, query.And{box, here}); err != nil {
		return nil, err
	} else if !ok {
		lost = append(lost, "its mailbox does not find it")
	}
	for _, p := range recallPlaces(m) {
		words, err := x.rarest(ctx, view, p)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			continue
		}
		all := query.And{here}
		for _, w := range words {
			all = append(all, query.Field{Name: p.field, Node: query.Word{Text: w}})
		}
		if ok, err = x.holds(ctx, view, r.ID.Seq, all); err != nil {
			return nil, err
		} else if !ok {
			lost = append(lost, fmt.Sprintf("words of its %s do not find it", p.field))
		}
	}
	return lost, nil
}

// holds reports whether the shard of a position finds something.
func (x *Index) holds(ctx context.Context, v *view, seq uint64, n query.Node) (bool, error) {
	i := slices.IndexFunc(v.shards, func(s Shard) bool {
		from, to := s.Range()
		return seq >= from && (to == 0 || seq < to)
	})
	if i < 0 {
		return false, mail.Errorf(mail.Temporary, "no shard answers for position %d", seq)
	}
	a := x.ask(ctx, v.shards[i:i+1], &query.Query{Root: n, Zone: time.UTC})[0]
	if a.err != nil {
		if ctx.Err() == nil {
			x.rouse()
		}
		return false, halfWay(a.err)
	}
	return a.found.Tally().Total > 0, a.found.Close()
}

// rarest returns the words of a text that the fewest messages have, as they are
// written there.
func (x *Index) rarest(ctx context.Context, v *view, p recallPlace) ([]string, error) {
	words := wordsOf(p.text)
	if len(words) <= recallWords {
		return words, nil
	}
	asks := make([]scored, len(words))
	for i, w := range words {
		asks[i] = scored{fields: textFields(p.field), token: queryTokens(query.Word{Text: w})[0]}
	}
	have := make([]uint64, len(words))
	for _, s := range x.ask(ctx, v.shards, &query.Query{Root: query.Records{}, Zone: time.UTC}) {
		if s.err != nil {
			continue // it tells less of what is rare, and no more than that
		}
		_, some, err := s.found.Frequencies(ctx, asks)
		_ = s.found.Close() // it was read
		if err != nil {
			return nil, halfWay(err)
		}
		for i, n := range some {
			have[i] += n
		}
	}
	order := make([]int, len(words))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(have[a]) - int(have[b]) })
	out := make([]string, recallWords)
	for i := range out {
		out[i] = words[order[i]]
	}
	return out, nil
}

// wordsOf returns some of the words of a text, each once, spread over it.
func wordsOf(text string) []string {
	var all []string
	seen := map[string]bool{}
	head := clip(text, recallText)
	t, last := tokenizer{}, 0
	t.each(head, func(k token) bool {
		w := head[k.start:k.end]
		if k.pos == last || seen[w] || k.end == len(head) && len(head) < len(text) || !utf8.ValidString(w) {
			return true
		}
		last, seen[w] = k.pos, true
		if toks := queryTokens(query.Word{Text: w}); len(toks) == 1 && toks[0].as == whole {
			all = append(all, w)
		}
		return true
	})
	if len(all) <= recallTried {
		return all
	}
	out := make([]string, recallTried)
	for i := range out {
		out[i] = all[i*len(all)/recallTried]
	}
	return out
}
