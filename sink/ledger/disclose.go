package ledger

import (
	"context"

	"github.com/mailkeep/mailkeep/mail"
)

// CommitmentKey returns the key of the commitments of the record seq: 32 zero
// octets if it is not encrypted. To disclose it lets somebody confirm what this
// one record holds, and nothing else; its body does not open with it. An erased
// record is keys.ErrErased, and one whose keys are not at hand mail.Denied.
func (v *view) CommitmentKey(ctx context.Context, seq uint64) (mail.Digest, error) {
	p, err := v.locate(seq)
	if err != nil {
		return mail.Digest{}, err
	}
	defer p.release()
	h, err := v.header(newGlance(p.f), p, seq)
	if err != nil || h.cipher == cipherNone {
		return mail.Digest{}, err
	}
	m, err := p.means(ctx, &h)
	if err != nil {
		return mail.Digest{}, err
	}
	k, err := m.tree.Key(h.key)
	if err != nil {
		return mail.Digest{}, err
	}
	defer k.Wipe()
	return mail.Digest(k.Commit), nil
}
