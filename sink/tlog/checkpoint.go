package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/mail"
)

// maxNote bounds a checkpoint with all its cosignatures, in octets.
const maxNote = 64 << 10

// A Checkpoint is a signed tree head (c2sp.org/tlog-checkpoint).
type Checkpoint struct {
	Origin string
	Size   uint64 // leaves
	Root   mail.Digest
	// Time is when it was signed, as the archive's clock said. It is not signed;
	// zero where it is not known.
	Time time.Time
	// Note is the signed note, as it is published.
	Note []byte
}

// body is what is signed.
func (c Checkpoint) body() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// tree is the head as package tlog of golang.org/x/mod has it.
func (c Checkpoint) tree() tlog.Tree { return tlog.Tree{N: int64(c.Size), Hash: tlog.Hash(c.Root)} }

// parseBody reads the first three lines of a checkpoint. Extension lines are
// passed over: they are signed, and mean nothing here.
func parseBody(text string) (Checkpoint, error) {
	bad := errors.New("not a checkpoint")
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 || lines[0] == "" {
		return Checkpoint{}, bad
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, bad
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(mail.Digest{}) {
		return Checkpoint{}, bad
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: mail.Digest(root)}, nil
}

// A Trust is the keys whose signature makes a checkpoint of one log one's own:
// the keys that the log has had, the first one first.
type Trust struct {
	Origin    string
	verifiers []note.Verifier
	vkeys     []string // of verifiers
}

// NewTrust reads the public keys of a log, the first one first. Keys of the
// archive, or of another of its logs, are taken as keys of this one.
func NewTrust(origin string, vkeys ...string) (Trust, error) {
	t := Trust{Origin: origin}
	for _, k := range vkeys {
		named, err := rename(k, origin)
		if err != nil {
			return t, err
		}
		v, err := note.NewVerifier(named)
		if err != nil {
			return t, mail.Errorf(mail.Invalid, "public key %q: %w", k, err)
		}
		t.verifiers, t.vkeys = append(t.verifiers, v), append(t.vkeys, named)
	}
	if len(t.verifiers) == 0 {
		return t, mail.Errorf(mail.Invalid, "no public key is known of the log %s", origin)
	}
	return t, nil
}

// Current is the key that signs now, in the form of a vkey.
func (t Trust) Current() string { return t.vkeys[len(t.vkeys)-1] }

// Open verifies a signed note as a checkpoint of the log. key is the index of
// the key that signed it, the latest one if several did. An error is
// mail.Corrupt.
func (t Trust) Open(signed []byte) (c Checkpoint, key int, err error) {
	if len(signed) > maxNote {
		return c, 0, mail.Errorf(mail.Corrupt, "checkpoint of %d octets is over the limit of %d", len(signed), maxNote)
	}
	n, err := note.Open(signed, note.VerifierList(t.verifiers...))
	if err != nil {
		return c, 0, mail.Errorf(mail.Corrupt, "checkpoint is not signed by a key of the log %s: %w", t.Origin, err)
	}
	if c, err = parseBody(n.Text); err != nil {
		return c, 0, mail.Errorf(mail.Corrupt, "checkpoint of %s: %w", t.Origin, err)
	}
	if c.Origin != t.Origin {
		return c, 0, mail.Errorf(mail.Corrupt, "checkpoint is of the log %q, not %s", c.Origin, t.Origin)
	}
	c.Note = signed
	for i, v := range t.verifiers {
		for _, s := range n.Sigs {
			if s.Name == v.Name() && s.Hash == v.KeyHash() {
				key = i
			}
		}
	}
	return c, key, nil
}

// sign makes the checkpoint's note.
func (c Checkpoint) sign(k *Key) (Checkpoint, error) {
	s, err := k.signer(c.Origin)
	if err != nil {
		return c, err
	}
	c.Note, err = note.Sign(&note.Note{Text: c.body()}, s)
	return c, err
}
