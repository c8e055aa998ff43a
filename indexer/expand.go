package indexer

import (
	"context"
	"errors"
	"strings"

	index "github.com/blevesearch/bleve_index_api"

	"github.com/mailkeep/mailkeep/mail"
)

// maxScan is how many terms of a dictionary are looked at for those that a word
// stands for.
const maxScan = 1 << 20

// terms returns the terms of the field that k stands for. They are at most
// maxExpansion, else the error is of kind mail.Invalid and says what to write.
func (s *snapshot) terms(ctx context.Context, field string, k *queryToken) ([]string, error) {
	if k.as == whole {
		return k.terms, nil
	}
	var out []string
	for _, t := range k.terms {
		d, err := s.dictionary(field, t, k.as)
		if err != nil {
			return nil, err
		}
		found, err := collect(ctx, d, func(term string) bool { return k.as != stemmed || sameStem(t, term) })
		if err != nil {
			return nil, tooMany(err, t)
		}
		out = append(out, found...)
	}
	return out, nil
}

// dictionary opens the part of the field's dictionary in which the terms are
// that term stands for.
func (s *snapshot) dictionary(field, term string, as match) (index.FieldDict, error) {
	switch as {
	case similar:
		r, ok := s.r.(index.IndexReaderFuzzy)
		if !ok {
			return nil, mail.Errorf(mail.Other, "the reader of the index cannot look up similar words")
		}
		return r.FieldDictFuzzy(field, term, 1, "")
	case stemmed:
		return s.r.FieldDictPrefix(field, []byte(stemPrefix(term)))
	}
	return s.r.FieldDictPrefix(field, []byte(term))
}

// errTooMany says that a word stands for more terms than maxExpansion, or that
// more than maxScan would have to be looked at.
var errTooMany = errors.New("too many words")

func tooMany(err error, term string) error {
	if !errors.Is(err, errTooMany) {
		return err
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "more than %d words are like %q", maxExpansion, term), "write more of the word")
}

// collect returns the terms of d that keep, and closes d.
func collect(ctx context.Context, d index.FieldDict, keep func(term string) bool) (terms []string, err error) {
	defer func() { err = errors.Join(err, d.Close()) }()
	for n := 0; ; n++ {
		if err := poll(ctx, n); err != nil {
			return nil, err
		}
		e, err := d.Next()
		if err != nil || e == nil {
			return terms, err
		}
		if n == maxScan {
			return nil, errTooMany
		}
		if !keep(e.Term) {
			continue
		}
		if len(terms) == maxExpansion {
			return nil, errTooMany
		}
		terms = append(terms, e.Term)
	}
}

// beginning returns the terms of a field of keywords that begin with prefix.
func (s *snapshot) beginning(ctx context.Context, field, prefix string) ([]string, error) {
	d, err := s.r.FieldDictPrefix(field, []byte(prefix))
	if err != nil {
		return nil, err
	}
	found, err := collect(ctx, d, func(string) bool { return true })
	return found, tooMany(err, prefix)
}

// containing returns the addresses, or with domains the domains with the @
// before them, of a field that have part in them. It looks at each different
// address of the shard, which is some tenths of a second where all of maxScan
// are there.
func (s *snapshot) containing(ctx context.Context, field, part string, domains bool) ([]string, error) {
	d, err := s.r.FieldDict(field)
	if err != nil {
		return nil, err
	}
	found, err := collect(ctx, d, func(term string) bool {
		domain, local := strings.HasPrefix(term, "@"), strings.HasSuffix(term, "@")
		return domain == domains && !local && strings.Contains(term, part)
	})
	if errors.Is(err, errTooMany) {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "more than %d addresses have %q in them, or there are more than %d different ones", maxExpansion, part, maxScan),
			"write the beginning of the address, or its domain")
	}
	return found, err
}
