package store

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Mode is how strictly an object is retained.
type Mode string

// The modes of S3 Object Lock.
const (
	None       Mode = ""
	Governance Mode = "governance" // a right of its own lets delete before the date
	Compliance Mode = "compliance" // nobody can
)

// strength orders modes.
func (m Mode) strength() int {
	switch m {
	case Governance:
		return 1
	case Compliance:
		return 2
	}
	return 0
}

// A Retention forbids to delete an object until a time. The zero value forbids
// nothing.
type Retention struct {
	Mode  Mode      `json:"mode,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Covers reports whether r forbids all that want forbids. Stores keep whole
// seconds.
func (r Retention) Covers(want Retention) bool {
	return r.Mode.strength() >= want.Mode.strength() && !r.Until.Before(want.Until.Truncate(time.Second))
}

// extended returns the retention that forbids what r and want forbid.
func (r Retention) extended(want Retention) Retention {
	if r.Mode.strength() < want.Mode.strength() {
		r.Mode = want.Mode
	}
	if want.Until.After(r.Until) {
		r.Until = want.Until
	}
	return r
}

// A Ref names a version of an object. An empty Version is the newest one.
type Ref struct {
	Name    string `json:"object"`
	Version string `json:"version,omitempty"`
}

// An Object is what a store tells of a version of an object.
type Object struct {
	Ref
	Size int64
	// Sum is the SHA-256 that the store tells; zero if it does not know. It is a
	// claim: who must know hashes the bytes.
	Sum       mail.Digest
	Retention Retention
	Hold      bool      // legal hold
	Stored    time.Time // by the store's clock
}

// Content is the bytes of an object that is to be stored.
type Content struct {
	io.ReaderAt
	Size int64
	Sum  mail.Digest // SHA-256 of all of them
}

// A Store keeps objects. Names are slash-separated, of letters, digits, dots,
// dashes and underscores. Methods may be called by many goroutines. Errors have
// kinds: mail.NotFound, mail.InUse (the name is taken by other bytes), mail.Denied
// (by credentials, policy, retention or hold), mail.NoSpace, mail.Temporary,
// mail.Invalid (the store cannot do what is asked), mail.Corrupt.
type Store interface {
	// PutIfAbsent stores the content with its retention and returns what the store
	// then tells of it, which is compared with both. If the name is taken by the
	// same bytes it extends their retention if need be and returns that object; by
	// others, it is mail.InUse. On an error the object may be there or not.
	PutIfAbsent(ctx context.Context, name string, c Content, r Retention) (Object, error)
	// GetRange opens n octets from off on; n < 0 means up to the end. Fewer come only
	// if the object ends before. The reader fails when the connection does.
	GetRange(ctx context.Context, ref Ref, off, n int64) (io.ReadCloser, error)
	// Stat tells of an object.
	Stat(ctx context.Context, ref Ref) (Object, error)
	// ExtendRetention makes the retention cover r. It never weakens it.
	ExtendRetention(ctx context.Context, ref Ref, r Retention) (Object, error)
	// SetHold sets or lifts the store's own legal hold. See Hold.
	SetHold(ctx context.Context, ref Ref, on bool) error
	// DeleteVersion deletes for good. Retention and hold forbid it: mail.Denied.
	DeleteVersion(ctx context.Context, ref Ref) error
	// List tells of all versions of the objects whose names begin with prefix, in the
	// order of names; of each its Ref, Size and Stored alone. An error is the last pair.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Replace stores what may change, without retention, in place of what had the
	// name.
	Replace(ctx context.Context, name string, data []byte) error
	// String names the place, for people: "s3://bucket/prefix", "directory /x".
	String() string
}

// An attacker tries what a store must refuse, past the rules that its driver
// itself keeps: what somebody with the same credentials could do.
type attacker interface {
	attackDelete(ctx context.Context, ref Ref) error
	attackShorten(ctx context.Context, ref Ref, r Retention) error
	attackOverwrite(ctx context.Context, name string, data []byte) error
}

// checkName refuses what is not the name of an object: it may become a path.
func checkName(name string) error {
	ok := name != "" && len(name) <= 512
	for part := range strings.SplitSeq(name, "/") {
		ok = ok && part != "" && part != "." && part != ".."
	}
	if !ok || strings.ContainsFunc(name, strange) {
		return mail.Errorf(mail.Invalid, "%.80q is not the name of an object", name)
	}
	return nil
}

func strange(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-", r)
}

// agrees compares what a store tells of an object with what it was given.
func (o Object) agrees(c Content, r Retention) error {
	switch {
	case o.Size != c.Size || !o.Sum.IsZero() && o.Sum != c.Sum:
		return mail.Errorf(mail.Corrupt, "the store holds %d octets with SHA-256 %s as %s, it was given %d with %s", o.Size, o.Sum, o.Name, c.Size, c.Sum)
	case !o.Retention.Covers(r):
		return mail.WithHint(mail.Errorf(mail.Invalid, "the store keeps %s %s, it was told %s", o.Name, o.Retention, r),
			"The bucket must be made with Object Lock, and the credentials must have the rights to set and to read the retention.")
	}
	return nil
}

// String tells the retention for people.
func (r Retention) String() string {
	if r.Mode == None {
		return "without retention"
	}
	return fmt.Sprintf("in mode %s until %s", r.Mode, r.Until.UTC().Format(time.RFC3339))
}

// taken is the error of a name that other bytes have.
func taken(place Store, name string) error {
	return mail.WithHint(mail.Errorf(mail.InUse, "%s in %s holds other bytes already", name, place),
		"Another archive or another writer uses this place. Nothing was overwritten: find out which, and give each its own store.prefix.")
}

func noObject(place Store, ref Ref) error {
	return mail.Errorf(mail.NotFound, "there is no %s in %s", ref, place)
}

// String names the version of an object.
func (r Ref) String() string {
	if r.Version == "" {
		return r.Name
	}
	return r.Name + ", version " + r.Version
}
