package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// Vault is a key source that is the transit engine of HashiCorp Vault, or of
// OpenBao. KEKs never leave it. Each group of epochs is a key of the engine,
// <key>-<class>-<year>, and an epoch is a version of it; so is the archive's
// Check, <key>-65535-0.
//
// The keys are derived ones (derived=true): what is bound to a box (its aad) is
// the context from which Vault derives the key that seals it. That binds as
// strongly as associated data, and unlike those works with rewrap and with all
// versions of the engine.
//
// Its token needs, on <mount>/:
//
//	encrypt/<key>-* decrypt/<key>-* rewrap/<key>-*   update
//	keys/<key>-*                                     read, create, update
//	keys/<key>-*/rotate, .../config, .../trim        update
//
// https://developer.hashicorp.com/vault/api-docs/secret/transit
type Vault struct {
	api vaultAPI
	key string
}

var (
	_ Wrapper   = (*Vault)(nil)
	_ Rewrapper = (*Vault)(nil)
)

const vaultSource = "Vault"

// NewVault returns the source. It sends nothing.
func NewVault(c VaultConfig) (*Vault, error) {
	api, err := newVaultAPI(c)
	if err != nil {
		return nil, err
	}
	if c.Key == "" {
		return nil, mail.Errorf(mail.Invalid, "the key of the transit engine has no name")
	}
	return &Vault{api: api, key: c.Key}, nil
}

// Close closes idle connections.
func (v *Vault) Close() error {
	v.api.client.CloseIdleConnections()
	return nil
}

func (v *Vault) name(g Group) string { return fmt.Sprintf("%s-%d-%d", v.key, g.Class, g.Year) }

// An item is one entry of a request of encrypt, decrypt or rewrap.
type vaultItem struct {
	Plaintext  string `json:"plaintext,omitempty"`  // base64
	Ciphertext string `json:"ciphertext,omitempty"` // vault:vN:base64
	Context    string `json:"context"`              // base64
	KeyVersion uint32 `json:"key_version,omitempty"`
}

// A vaultResult is one entry of an answer to them.
type vaultResult struct {
	Plaintext  string `json:"plaintext"`
	Ciphertext string `json:"ciphertext"`
	Error      string `json:"error"`
}

func encode64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Wrap implements Wrapper.
func (v *Vault) Wrap(ctx context.Context, e Epoch, plain, aad []byte) ([]byte, error) {
	var out vaultResult
	err := v.api.post(ctx, "encrypt/"+v.name(e.Group), vaultItem{Plaintext: encode64(plain), Context: encode64(aad), KeyVersion: e.Version}, &out)
	if err != nil {
		return nil, v.explain(ctx, e, fmt.Errorf("seal with %s: %w", e, err))
	}
	return boxOf(e, out.Ciphertext)
}

// boxOf returns the box of a cipher text.
func boxOf(e Epoch, ciphertext string) ([]byte, error) {
	if !isOf(e, ciphertext) || len(ciphertext) >= maxBox {
		return nil, mail.Errorf(mail.Other, "%s: the answer is not a cipher text of version %d of the key", vaultSource, e.Version)
	}
	return append([]byte{boxVault}, ciphertext...), nil
}

// isOf reports whether a cipher text says that it is of the epoch's version.
func isOf(e Epoch, ciphertext string) bool {
	return strings.HasPrefix(ciphertext, "vault:v"+strconv.FormatUint(uint64(e.Version), 10)+":")
}

// ciphertext returns the text in a box.
func ciphertext(e Epoch, box []byte) (string, error) {
	if len(box) == 0 || box[0] != boxVault {
		return "", foreignBox(vaultSource, e, box)
	}
	text := string(box[1:])
	if !isOf(e, text) {
		return "", damagedBox(vaultSource, e)
	}
	return text, nil
}

// Unwrap implements Wrapper.
func (v *Vault) Unwrap(ctx context.Context, e Epoch, box, aad []byte) ([]byte, error) {
	text, err := ciphertext(e, box)
	if err != nil {
		return nil, err
	}
	var out vaultResult
	if err := v.api.post(ctx, "decrypt/"+v.name(e.Group), vaultItem{Ciphertext: text, Context: encode64(aad)}, &out); err != nil {
		return nil, v.explain(ctx, e, fmt.Errorf("open with %s: %w", e, err))
	}
	return plainOf(out.Plaintext)
}

func plainOf(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, mail.Errorf(mail.Other, "%s: the answer is not base64", vaultSource)
	}
	return b, nil
}

// explain finds out why Vault called a request for an epoch invalid: its own
// words differ between versions.
func (v *Vault) explain(ctx context.Context, e Epoch, err error) error {
	if k := mail.KindOf(err); k != mail.Invalid && k != mail.NotFound {
		return err
	}
	k, kerr := v.read(ctx, e.Group)
	switch {
	case mail.KindOf(kerr) == mail.NotFound && mail.KindOf(err) == mail.NotFound:
		return err // it is the engine that is missing, or the key: its own words say
	case mail.KindOf(kerr) == mail.NotFound, kerr == nil && !k.has(e.Version):
		return noKEK(vaultSource, e)
	}
	return &mail.Error{Kind: mail.Corrupt, Err: fmt.Errorf("%w; it is damaged, or was moved", err)}
}

// maxRequest is how many octets of boxes go into one request. Vault's own limit
// of a request is 32 MiB.
const maxRequest = 4 << 20

// Rewrap implements Rewrapper: three requests for up to some thousand boxes.
func (v *Vault) Rewrap(ctx context.Context, to Epoch, boxes []Box) ([][]byte, error) {
	out := make([][]byte, 0, len(boxes))
	for len(boxes) > 0 {
		n, size := 0, 0
		for n < len(boxes) && (n == 0 || size+len(boxes[n].Box) <= maxRequest) {
			size += len(boxes[n].Box)
			n++
		}
		done, err := v.rewrap(ctx, to, boxes[:n])
		if err != nil {
			return nil, err
		}
		out, boxes = append(out, done...), boxes[n:]
	}
	return out, nil
}

func (v *Vault) rewrap(ctx context.Context, to Epoch, boxes []Box) ([][]byte, error) {
	before, err := v.openAll(ctx, boxes)
	defer wipeAll(before)
	if err != nil {
		return nil, err
	}
	items := make([]vaultItem, len(boxes))
	for i, b := range boxes {
		if b.Epoch.Group != to.Group {
			return nil, mail.Errorf(mail.Invalid, "%s: a box of %s cannot go to %s", vaultSource, b.Epoch, to)
		}
		items[i] = vaultItem{Ciphertext: string(b.Box[1:]), Context: encode64(b.AAD), KeyVersion: to.Version}
	}
	results, err := v.batch(ctx, "rewrap", to, items)
	if err != nil {
		return nil, err
	}
	moved, out := make([]Box, len(boxes)), make([][]byte, len(boxes))
	for i, r := range results {
		if out[i], err = boxOf(to, r.Ciphertext); err != nil {
			return nil, err
		}
		moved[i] = Box{to, out[i], boxes[i].AAD}
	}
	after, err := v.openAll(ctx, moved)
	defer wipeAll(after)
	if err != nil {
		return nil, err
	}
	for i := range before {
		if !bytes.Equal(before[i], after[i]) {
			return nil, mail.Errorf(mail.Other, "%s returned something else than was given to it", vaultSource)
		}
	}
	return out, nil
}

// openAll opens boxes of one group.
func (v *Vault) openAll(ctx context.Context, boxes []Box) ([][]byte, error) {
	items := make([]vaultItem, len(boxes))
	for i, b := range boxes {
		text, err := ciphertext(b.Epoch, b.Box)
		if err != nil {
			return nil, err
		}
		items[i] = vaultItem{Ciphertext: text, Context: encode64(b.AAD)}
	}
	results, err := v.batch(ctx, "decrypt", boxes[0].Epoch, items)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(boxes))
	for i, r := range results {
		if out[i], err = plainOf(r.Plaintext); err != nil {
			return out, err
		}
	}
	return out, nil
}

// batch sends items to one operation of the key of e, and returns as many
// results, all of them good.
func (v *Vault) batch(ctx context.Context, operation string, e Epoch, items []vaultItem) ([]vaultResult, error) {
	var out struct {
		Results []vaultResult `json:"batch_results"`
	}
	in := struct {
		Items []vaultItem `json:"batch_input"`
	}{items}
	if err := v.api.post(ctx, operation+"/"+v.name(e.Group), in, &out); err != nil {
		return nil, v.explain(ctx, e, fmt.Errorf("%s with %s: %w", operation, e, err))
	}
	if len(out.Results) != len(items) {
		return nil, mail.Errorf(mail.Other, "%s: %d results for %d items of %s", vaultSource, len(out.Results), len(items), operation)
	}
	for i, r := range out.Results {
		if r.Error != "" {
			return nil, v.explain(ctx, e, mail.Errorf(mail.Invalid, "%s: %s, item %d: %s", vaultSource, operation, i, clip(r.Error)))
		}
	}
	return out.Results, nil
}

func wipeAll(all [][]byte) {
	for _, b := range all {
		clear(b)
	}
}
