package tlog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// bundleFormat is the version of a Bundle.
const bundleFormat = "mailkeep-proof/1"

// A Bundle proves, to somebody who has the public key of the archive alone, that
// a message is in the archive. It is one file of JSON; docs/archive-format.md
// specifies it.
type Bundle struct {
	Format string  `json:"format"`
	ID     mail.ID `json:"id"`
	Origin string  `json:"origin"`
	// Key is the public key that signed, for the reader's convenience: who
	// verifies takes it from elsewhere.
	Key  string `json:"vkey"`
	Leaf []byte `json:"leaf"` // base64
	// Opening is what the leaf's commitment to the content is made of.
	Opening Opening `json:"opening"`
	// Proof is the text of a file by c2sp.org/tlog-proof.
	Proof  string        `json:"proof"`
	Stamps []BundleStamp `json:"timestamps,omitempty"`
}

// An Opening is what a commitment is made of: HMAC-SHA256(Key, "mar1/cmt" ||
// Digest || u64 Size).
type Opening struct {
	Digest mail.Digest `json:"digest"` // SHA-256 of the message
	Size   uint64      `json:"size"`   // its octets
	Key    mail.Digest `json:"key"`    // 32 octets in hexadecimal; zero where the record is not encrypted
}

// A BundleStamp is a time stamp over the checkpoint in Proof.
type BundleStamp struct {
	By       string `json:"by"`
	Response []byte `json:"response"` // DER, in base64
	Chain    string `json:"chain"`    // PEM
}

// Where a leaf holds what a bundle speaks of; docs/archive-format.md.
const (
	leafFlagsAt      = 7
	leafSeqAt        = 16
	leafTimeAt       = 24
	leafFirstAt      = 72
	leafCommitmentAt = 96

	leafFlagLast = 2 // the commitment is to the whole message
)

// Marshal is the bundle as a file.
func (b Bundle) Marshal() ([]byte, error) {
	b.Format = bundleFormat
	out, err := json.MarshalIndent(b, "", "  ")
	return append(out, '\n'), err
}

// ParseBundle reads a bundle. It verifies nothing; see Check.
func ParseBundle(text []byte) (Bundle, error) {
	var b Bundle
	if err := json.Unmarshal(text, &b); err != nil {
		return b, mail.Errorf(mail.Invalid, "not a proof of mailkeep: %w", err)
	}
	if b.Format != bundleFormat || len(b.Leaf) != ledger.LeafSize {
		return b, mail.Errorf(mail.Invalid, "not a proof of mailkeep in the format %s", bundleFormat)
	}
	return b, nil
}

// A Proved is what a bundle proves.
type Proved struct {
	ID         mail.ID
	Digest     mail.Digest
	Size       uint64
	Sealed     time.Time  // when the archive's clock said it was
	Checkpoint Checkpoint // that it is in
	Stamped    []time.Time
}

// Check verifies a bundle: opening, leaf, proof, signature, time stamps. The
// message itself is for the caller to compare with Proved.Digest. An error is
// mail.Corrupt.
func (b Bundle) Check(t Trust, stamps func(response, data []byte) (Stamp, error)) (Proved, error) {
	p := Proved{ID: b.ID, Digest: b.Opening.Digest, Size: b.Opening.Size}
	if [32]byte(b.Leaf[leafCommitmentAt:]) != b.Opening.commitment() {
		return p, mail.Errorf(mail.Corrupt, "the record commits to another message than the one that is named")
	}
	proof, err := ParseProof([]byte(b.Proof))
	if err != nil {
		return p, err
	}
	seq := binary.BigEndian.Uint64(b.Leaf[leafSeqAt:])
	first := binary.BigEndian.Uint64(b.Leaf[leafFirstAt:])
	if seq != proof.Index || first != b.ID.Seq || b.Leaf[leafFlagsAt]&leafFlagLast == 0 || t.Origin != b.Origin {
		return p, mail.Errorf(mail.Corrupt, "the proof is of record %d of %s, not of %s", proof.Index, b.Origin, b.ID)
	}
	if p.Checkpoint, err = proof.Check(t, b.Leaf); err != nil {
		return p, err
	}
	p.Sealed = time.Unix(0, int64(binary.BigEndian.Uint64(b.Leaf[leafTimeAt:]))).UTC()
	for _, s := range b.Stamps {
		st, err := stamps(s.Response, p.Checkpoint.Note)
		if err != nil {
			return p, fmt.Errorf("time stamp of %s: %w", s.By, err)
		}
		p.Stamped = append(p.Stamped, st.Time)
	}
	return p, nil
}

func (o Opening) commitment() [32]byte {
	m := hmac.New(sha256.New, o.Key[:])
	m.Write([]byte("mar1/cmt"))
	m.Write(o.Digest[:])
	m.Write(binary.BigEndian.AppendUint64(nil, o.Size))
	return [32]byte(m.Sum(nil))
}
