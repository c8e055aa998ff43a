package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Finding is what a Probe found a store to do. The zero value is a store that
// was not probed.
type Finding struct {
	At   time.Time `json:"at"`
	Mode Mode      `json:"mode"`
	// Deleted, Shortened and Overwritten say what succeeded that must not.
	Deleted     bool `json:"deleted,omitempty"`
	Shortened   bool `json:"shortened,omitempty"`
	Overwritten bool `json:"overwritten,omitempty"`
}

// WORM reports whether all that was tried was refused.
func (f Finding) WORM() bool {
	return !f.At.IsZero() && f.Mode != None && !f.Deleted && !f.Shortened && !f.Overwritten
}

// Problem says what succeeded; empty if nothing did.
func (f Finding) Problem() string {
	var did []string
	for _, one := range []struct {
		yes bool
		did string
	}{{f.Deleted, "deleted"}, {f.Shortened, "made deletable before its date"}, {f.Overwritten, "overwritten"}} {
		if one.yes {
			did = append(did, one.did)
		}
	}
	switch {
	case len(did) > 0:
		return "an object under retention could be " + strings.Join(did, " and ")
	case f.Mode == None:
		return "no retention is configured"
	}
	return ""
}

// Refused is the error of a store that does not keep its promise, for an operator
// who requires that it does; nil if it does.
func (f Finding) Refused(s Store) error {
	if f.WORM() {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Denied, "%s is not write-once: %s", s, f.Problem()),
		"Use a bucket that was made with Object Lock, and credentials without s3:BypassGovernanceRetention. In a directory the file system must know the immutable flag, and the process needs the right to set it. With store.worm: preferred the archive starts all the same, and says in its status that nothing is write-once.")
}

const (
	probePrefix = "probe/"
	// probeTime is for how long a probe is retained: longer than all tries take.
	probeTime = 5 * time.Minute
)

// Probe stores a small object with a retention of five minutes under prefix, and
// tries to delete, to shorten and to overwrite it, with the credentials at hand. It
// removes the objects of earlier probes. An error says that it could not be done,
// and nothing of what the store does.
func Probe(ctx context.Context, s Store, prefix string, mode Mode, now time.Time) (Finding, error) {
	f := Finding{At: now.UTC(), Mode: mode}
	if mode == None {
		return f, nil
	}
	a, ok := s.(attacker)
	if !ok {
		return f, mail.Errorf(mail.Invalid, "%s cannot be probed", s)
	}
	sweep(ctx, s, prefix+probePrefix, now)
	name := prefix + probePrefix + strings.ToLower(rand.Text())
	data := []byte("mailkeep probes whether this can be deleted before its date\n" + name + "\n")
	o, err := s.PutIfAbsent(ctx, name, contentOf(data), Retention{Mode: mode, Until: whole(now.UTC().Add(probeTime))})
	if err != nil {
		return f, err
	}
	if err := f.try(ctx, s, a, o, data, now); err != nil {
		return f, err
	}
	return f, nil
}

// try attacks the object. After each attack its version is looked at: what counts is
// not what the store answers. Overwriting comes last: there are stores that tell no
// retention any more of a version which is not the newest, though they keep it.
func (f *Finding) try(ctx context.Context, s Store, a attacker, o Object, data []byte, now time.Time) error {
	// What the attacks return is not looked at; what they did is.
	_ = a.attackShorten(ctx, o.Ref, Retention{Mode: o.Retention.Mode, Until: whole(now.UTC().Add(2 * time.Second))})
	_ = a.attackShorten(ctx, o.Ref, Retention{})
	if o.Retention.Mode == Compliance {
		_ = a.attackShorten(ctx, o.Ref, Retention{Mode: Governance, Until: o.Retention.Until})
	}
	after, err := s.Stat(ctx, o.Ref)
	if err != nil {
		return err
	}
	f.Shortened = !after.Retention.Covers(o.Retention)
	for _, attack := range []struct {
		did *bool
		run func() error
	}{
		{&f.Deleted, func() error { return a.attackDelete(ctx, o.Ref) }},
		{&f.Overwritten, func() error { return a.attackOverwrite(ctx, o.Name, []byte("overwritten")) }},
		{&f.Deleted, func() error { return a.attackDelete(ctx, o.Ref) }},
	} {
		_ = attack.run()
		same, err := holds(ctx, s, o.Ref, data)
		if err != nil {
			return err
		}
		if !same {
			*attack.did = true
			return nil
		}
	}
	return nil
}

// holds reports whether the version is there with these bytes.
func holds(ctx context.Context, s Store, ref Ref, data []byte) (bool, error) {
	r, err := s.GetRange(ctx, ref, 0, -1)
	if mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	got, err := io.ReadAll(io.LimitReader(r, int64(len(data))+1))
	return bytes.Equal(got, data), errors.Join(err, r.Close())
}

// sweep removes what earlier probes left, as far as it may go by now. What cannot
// be removed is there at the next start.
func sweep(ctx context.Context, s Store, prefix string, now time.Time) {
	for o, err := range s.List(ctx, prefix) {
		if err != nil {
			return
		}
		if now.Sub(o.Stored) > 2*probeTime {
			_ = s.DeleteVersion(ctx, o.Ref)
		}
	}
}

func contentOf(data []byte) Content {
	return Content{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Sum: mail.DigestOf(data)}
}
