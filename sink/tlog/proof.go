package tlog

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// leafEntry is how long the entry of a leaf is in a bundle.
const leafEntry = 2 + ledger.LeafSize

const (
	proofMagic = "c2sp.org/tlog-proof@v1"
	// maxProof is the most hashes of a proof: the height of a tree of 2^63 leaves.
	maxProof = 63
)

// A Proof says that a leaf is in the tree of a checkpoint
// (c2sp.org/tlog-proof).
type Proof struct {
	Index      uint64
	Hashes     []mail.Digest // from the leaf's sibling to the root's child
	Checkpoint []byte        // signed note
}

// Marshal is the text form, for a file with the extension .tlog-proof.
func (p Proof) Marshal() []byte {
	b := fmt.Appendf(nil, "%s\nindex %d\n", proofMagic, p.Index)
	for _, h := range p.Hashes {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	b = append(b, '\n')
	return append(b, p.Checkpoint...)
}

// ParseProof reads the text form. Extra data is passed over: it is not
// authenticated. The checkpoint is not verified; see Check.
func ParseProof(b []byte) (Proof, error) {
	bad := func(what string) (Proof, error) {
		return Proof{}, mail.Errorf(mail.Invalid, "not a proof by c2sp.org/tlog-proof: %s", what)
	}
	head, checkpoint, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok || len(b) > maxNote+maxProof*64 {
		return bad("it has no checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofMagic {
		return bad("the first line is another")
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return bad("it has no index")
	}
	digits, ok := strings.CutPrefix(lines[0], "index ")
	index, err := strconv.ParseUint(digits, 10, 63)
	if !ok || err != nil || strconv.FormatUint(index, 10) != digits {
		return bad("it has no index")
	}
	hashes, err := parseHashes(lines[1:])
	if err != nil {
		return bad(err.Error())
	}
	return Proof{Index: index, Hashes: hashes, Checkpoint: checkpoint}, nil
}

func parseHashes(lines []string) ([]mail.Digest, error) {
	if len(lines) > maxProof {
		return nil, fmt.Errorf("it has %d hashes", len(lines))
	}
	var out []mail.Digest
	for _, s := range lines {
		h, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || len(h) != len(mail.Digest{}) {
			return nil, fmt.Errorf("%.50q is not a hash", s)
		}
		out = append(out, mail.Digest(h))
	}
	return out, nil
}

// Check verifies that the leaf is in the tree of the proof's checkpoint, and
// that a key of t has signed that. An error is mail.Corrupt.
func (p Proof) Check(t Trust, leaf []byte) (Checkpoint, error) {
	c, _, err := t.Open(p.Checkpoint)
	if err != nil {
		return c, err
	}
	err = tlog.CheckRecord(hashes(p.Hashes), int64(c.Size), tlog.Hash(c.Root), int64(p.Index), tlog.RecordHash(leaf))
	if err != nil {
		return c, mail.Errorf(mail.Corrupt, "the proof does not lead from the leaf to the root of the checkpoint: %w", err)
	}
	return c, nil
}

// CheckConsistency verifies that the tree of old is the beginning of that of c.
// An error is mail.Corrupt: somebody was shown another history.
func CheckConsistency(proof []mail.Digest, old, c Checkpoint) error {
	switch {
	case old.Size == 0 && len(proof) == 0:
		return nil
	case old.Size == c.Size && old.Root == c.Root && len(proof) == 0:
		return nil
	case old.Size >= c.Size:
		return mail.Errorf(mail.Corrupt, "checkpoints of %d and %d records are not consistent", old.Size, c.Size)
	}
	err := tlog.CheckTree(tlog.TreeProof(hashes(proof)), int64(c.Size), tlog.Hash(c.Root), int64(old.Size), tlog.Hash(old.Root))
	if err != nil {
		return mail.Errorf(mail.Corrupt, "checkpoints of %d and %d records are not consistent: %w", old.Size, c.Size, err)
	}
	return nil
}

func hashes(d []mail.Digest) []tlog.Hash {
	out := make([]tlog.Hash, len(d))
	for i, h := range d {
		out[i] = tlog.Hash(h)
	}
	return out
}
