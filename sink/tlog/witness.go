package tlog

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mailkeep/mailkeep/mail"
)

// algCosignature is the signature type of Ed25519 cosignatures
// (c2sp.org/tlog-cosignature).
const algCosignature = 4

// A cosigner verifies the cosignatures of one witness.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

var _ note.Verifier = (*cosigner)(nil)

// newCosigner reads the public key of a witness: NAME+HASH+base64(04 || key).
func newCosigner(vkey string) (*cosigner, error) {
	bad := mail.WithHint(mail.Errorf(mail.Invalid, "%q is not the public key of a witness", vkey),
		"it has the form NAME+HASH+KEY, of an Ed25519 cosigner (c2sp.org/tlog-cosignature)")
	f := strings.SplitN(strings.TrimSpace(vkey), "+", 3)
	if len(f) != 3 || f[0] == "" || strings.ContainsAny(f[0], " \t\n") {
		return nil, bad
	}
	b, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != algCosignature {
		return nil, bad
	}
	c := &cosigner{name: f[0], key: b[1:], hash: keyID(f[0], algCosignature, b[1:])}
	if fmt.Sprintf("%08x", c.hash) != f[1] {
		return nil, bad
	}
	return c, nil
}

// Name implements note.Verifier.
func (c *cosigner) Name() string { return c.name }

// KeyHash implements note.Verifier.
func (c *cosigner) KeyHash() uint32 { return c.hash }

// Verify implements note.Verifier.
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize || binary.BigEndian.Uint64(sig) > 1<<63-1 {
		return false
	}
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(sig))
	return ed25519.Verify(c.key, append(signed, msg...), sig[8:])
}

// A Witness cosigns checkpoints that follow from those that it has seen before
// (c2sp.org/tlog-witness).
type Witness struct {
	url  string
	key  *cosigner
	seen uint64 // the size that it cosigned last, as far as is known
}

// NewWitness makes a Witness of the URL that "/add-checkpoint" is put behind,
// and its public key.
func NewWitness(url, vkey string) (*Witness, error) {
	key, err := newCosigner(vkey)
	if err != nil {
		return nil, err
	}
	return &Witness{url: strings.TrimSuffix(url, "/"), key: key}, nil
}

// Name is the name of the witness's key.
func (w *Witness) Name() string { return w.key.name }

// OpenCosigned verifies the cosignature of the witness under a checkpoint that
// carries one, and returns its time. An error is mail.Corrupt.
func (w *Witness) OpenCosigned(signed []byte) (time.Time, error) {
	n, err := note.Open(signed, note.VerifierList(w.key))
	if err != nil {
		return time.Time{}, mail.Errorf(mail.Corrupt, "cosignature of the witness %s: %w", w.key.name, err)
	}
	b, err := base64.StdEncoding.DecodeString(n.Sigs[0].Base64)
	if err != nil || len(b) < 4+8 {
		return time.Time{}, mail.Errorf(mail.Corrupt, "cosignature of the witness %s is cut short", w.key.name)
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC(), nil
}

// cosign asks the witness for its cosignature and returns its lines. It is
// mail.Corrupt if the witness has seen another history, or a longer one: the
// archive was rolled back or forked, or somebody else signs with its key.
func (w *Witness) cosign(ctx context.Context, post Post, v *View, c Checkpoint) ([]byte, error) {
	for range 3 {
		proof, err := v.Consistency(w.seen, c)
		if err != nil {
			return nil, err
		}
		status, answer, err := post(ctx, w.url+"/add-checkpoint", "text/plain", addCheckpoint(w.seen, proof, c))
		if err != nil {
			return nil, mail.Errorf(mail.Temporary, "ask the witness %s: %w", w.key.name, err)
		}
		switch status {
		case 200:
			return w.take(c, answer)
		case 409: // it has cosigned since, or we have not asked yet
			if err := w.learn(answer, c); err != nil {
				return nil, err
			}
		case 422:
			return nil, alarm("the witness %s refuses the proof that %d records follow the %d that it has seen", w.key.name, c.Size, w.seen)
		default:
			return nil, mail.WithHint(mail.Errorf(mail.Temporary, "the witness %s answers with status %d", w.key.name, status),
				"404 and 403 mean that it does not know the log, or its key: give its operator the line of checkpoint.vkey")
		}
	}
	return nil, mail.Errorf(mail.Temporary, "the witness %s does not settle on a size", w.key.name)
}

// addCheckpoint is the body of the request.
func addCheckpoint(old uint64, proof []mail.Digest, c Checkpoint) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	for _, h := range proof {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	b = append(b, '\n')
	return append(b, c.Note...)
}

// learn takes the size that the witness has cosigned from its answer.
func (w *Witness) learn(answer []byte, c Checkpoint) error {
	size, err := strconv.ParseUint(strings.TrimSuffix(string(answer), "\n"), 10, 63)
	if err != nil {
		return mail.Errorf(mail.Temporary, "the witness %s answers with a size that is none", w.key.name)
	}
	if size > c.Size {
		return alarm("the witness %s has seen %d records, but the archive has %d", w.key.name, size, c.Size)
	}
	w.seen = size
	return nil
}

// take verifies the cosignature.
func (w *Witness) take(c Checkpoint, answer []byte) ([]byte, error) {
	if len(answer) > maxNote/2 {
		return nil, mail.Errorf(mail.Temporary, "the witness %s answers with %d octets", w.key.name, len(answer))
	}
	n, err := note.Open(append(c.Note[:len(c.Note):len(c.Note)], answer...), note.VerifierList(w.key))
	if err != nil {
		return nil, mail.Errorf(mail.Temporary, "the witness %s answers without a good cosignature: %w", w.key.name, err)
	}
	w.seen = c.Size
	return fmt.Appendf(nil, "— %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}

func alarm(format string, args ...any) error {
	return mail.WithHint(mail.Errorf(mail.Corrupt, format, args...),
		"The archive was rolled back or forked, or somebody else signs with its key. Keep everything as it is, and run mailkeep verify.")
}
