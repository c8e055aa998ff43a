package bus

import (
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"github.com/mailkeep/mailkeep/mail"
)

// The names of streams and buckets.
const (
	streamRaw   = "RAW"
	streamBig   = "BIG"
	bucketLease = "MB_LEASE"
	bucketState = "MB_STATE"
)

// maxMailbox bounds a mailbox name in octets, so that its token fits into a
// subject.
const maxMailbox = 1024

// tokens is strict, so that a token has one spelling.
func tokens() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// tokenOf returns the subject token and key of a mailbox.
func tokenOf(mailbox string) (string, error) {
	switch {
	case mailbox == "":
		return "", mail.Errorf(mail.Invalid, "a mailbox name is empty")
	case len(mailbox) > maxMailbox:
		return "", mail.Errorf(mail.Invalid, "a mailbox name has %d octets; the limit is %d", len(mailbox), maxMailbox)
	case !utf8.ValidString(mailbox):
		return "", mail.Errorf(mail.Invalid, "mailbox name %q is not UTF-8", mailbox)
	}
	return tokens().EncodeToString([]byte(mailbox)), nil
}

// mailboxOf is the inverse of tokenOf.
func mailboxOf(token string) (string, error) {
	b, err := tokens().DecodeString(token)
	if err != nil || len(b) == 0 || !utf8.Valid(b) {
		return "", mail.Errorf(mail.Invalid, "%q is not the token of a mailbox", token)
	}
	return string(b), nil
}

func rawSubject(p uint16, token string) string { return fmt.Sprintf("raw.%d.%s", p, token) }
func rawFilter(p uint16) string                { return fmt.Sprintf("raw.%d.>", p) }
func consumerName(p uint16) string             { return fmt.Sprintf("archiver_%d", p) }
func chunkSubject(id string, n int) string     { return fmt.Sprintf("big.%s.%d", id, n) }
func chunkFilter(id string) string             { return fmt.Sprintf("big.%s.>", id) }
func sizeSubject(p uint16) string              { return fmt.Sprintf("ledger.size.%d", p) }

func serviceSubject(service string, p uint16) string {
	return fmt.Sprintf("svc.%s.%d", service, p)
}
