package indexer

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/mailkeep/mailkeep/indexer/query"
	"github.com/mailkeep/mailkeep/mail"
)

// textFields returns the fields of words that a field of the query language
// stands for; "" stands for all.
func textFields(name string) []string {
	switch name {
	case "":
		return []string{
			fieldSubject, fieldBody, fieldAttachment, fieldFileName, fieldFrom, fieldTo, fieldCc, fieldBcc, fieldOther,
		}
	case "participants", "domain":
		return peopleFields
	case "attachment":
		return []string{fieldAttachment, fieldFileName}
	}
	return []string{name}
}

func (e *evaluator) field(ctx context.Context, f query.Field) (*roaring.Bitmap, error) {
	switch f.Name {
	case "subject", "body", "attachment", "filename":
		return e.text(ctx, textFields(f.Name), f.Node)
	}
	text, as := literal(f.Node)
	switch f.Node.(type) {
	case query.Contains:
		return e.addresses(ctx, f.Name, func(field string) ([]string, error) {
			return e.snap.containing(ctx, field, strings.ToLower(text), f.Name == "domain")
		})
	case query.Fuzzy, query.Near:
		return e.text(ctx, textFields(f.Name), f.Node)
	}
	if f.Name == "domain" {
		text = "@" + strings.TrimPrefix(text, "@")
	}
	if !strings.Contains(text, "@") || strings.Contains(text, " ") {
		return e.text(ctx, textFields(f.Name), f.Node)
	}
	text = canonicalAddress(text)
	return e.addresses(ctx, f.Name, func(field string) ([]string, error) {
		if as == begins {
			return e.snap.beginning(ctx, field, text)
		}
		return []string{text}, nil
	})
}

// addresses returns the documents that have any of the terms that terms gives
// for the fields of addresses of name.
func (e *evaluator) addresses(ctx context.Context, name string, terms func(field string) ([]string, error)) (*roaring.Bitmap, error) {
	out := roaring.New()
	for _, f := range textFields(name) {
		list, err := terms(f + addrSuffix)
		if err != nil {
			return nil, err
		}
		docs, err := e.snap.any(ctx, f+addrSuffix, list)
		if err != nil {
			return nil, err
		}
		out.Or(docs)
	}
	return out, nil
}

// exactFields are the fields of the index that those of the query language are.
var exactFields = map[string]string{
	"mailbox": fieldMailbox, "class": fieldClass, "filetype": fieldType, "message-id": fieldMessageID, "list": fieldList, "lang": fieldLang,
	"defect": fieldDefect, "parser": fieldParser, "extractor": fieldExtractor,
}

func (e *evaluator) exact(ctx context.Context, n query.Exact) (*roaring.Bitmap, error) {
	switch n.Name {
	case "hash":
		return e.digest(ctx, fieldHash, n.Value)
	case "copy":
		return e.digest(ctx, fieldCopy, n.Value)
	}
	field := exactFields[n.Name]
	if field == "" {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s: cannot be searched for in this index", n.Name),
			"leave it out, or ask the archive that knows of it")
	}
	return e.snap.term(ctx, field, clip(n.Value, maxKeyword))
}

// digest returns the documents with a digest that begins with the digits.
func (e *evaluator) digest(ctx context.Context, field, digits string) (*roaring.Bitmap, error) {
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "%q is not a hash: %w", digits, err)
	}
	if len(raw) >= hashSize {
		return e.snap.term(ctx, field, string(raw[:hashSize]))
	}
	terms, err := e.snap.beginning(ctx, field, string(raw))
	if err != nil {
		return nil, err
	}
	return e.snap.any(ctx, field, terms)
}
