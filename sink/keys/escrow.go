package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// Recipients are those to whom keys are given into escrow: the third party or
// the executive officer of 17 CFR 240.17a-4(f)(3)(v), who must be able to read
// the archive without us. They are public keys of age.
type Recipients struct{ list []age.Recipient }

// ParseRecipients reads public keys: "age1..." (X25519, or the hybrid with
// ML-KEM), "ssh-ed25519 ..." or "ssh-rsa ...". Plugins are not supported. None
// gives nil. Errors are mail.Invalid and tell which.
func ParseRecipients(texts []string) (*Recipients, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	r := &Recipients{}
	for i, text := range texts {
		one, err := parseRecipient(strings.TrimSpace(text))
		if err != nil {
			return nil, mail.WithHint(mail.Errorf(mail.Invalid, "escrow recipient %d: %w", i+1, err),
				"A recipient is a public key of age (age1...) or of SSH (ssh-ed25519 or ssh-rsa).")
		}
		r.list = append(r.list, one)
	}
	// age refuses to mix recipients that a quantum computer could break with
	// those that it could not: found here, not when a segment begins.
	w, err := age.Encrypt(io.Discard, r.list...)
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "escrow recipients: %w", err)
	}
	return r, w.Close()
}

func parseRecipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(text, "ssh-") {
		return agessh.ParseRecipient(text)
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("it has more than one line")
	}
	all, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil {
		return nil, errors.New("it is not a public key")
	}
	return all[0], nil
}

// Identities open what was given into escrow.
type Identities struct{ list []age.Identity }

// ParseIdentities reads a file of secret keys of age, or one unencrypted SSH
// key in PEM.
func ParseIdentities(text []byte) (*Identities, error) {
	if bytes.HasPrefix(text, []byte("-----BEGIN")) {
		id, err := agessh.ParseIdentity(text)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "identity: %w", err)
		}
		return &Identities{[]age.Identity{id}}, nil
	}
	list, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// The error of age may quote a secret key.
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "the file of identities is not well formed"),
			"It holds lines that begin with AGE-SECRET-KEY-1, or one SSH key in PEM without a passphrase.")
	}
	return &Identities{list}, nil
}

// writeEscrow writes the copy of a key file for the recipients: age of the
// content of the key file. It is replaced if it is there.
func (d *Dir) writeEscrow(first uint64, f *keyFile, t *Tree) error {
	plain := content(f.identity(), t)
	defer clear(plain)
	var b bytes.Buffer
	w, err := age.Encrypt(&b, d.Escrow.list...)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = classify(durable.WriteFile(d.FS, EscrowName(first), b.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("give keys into escrow: %w", err)
	}
	return nil
}

// WriteEscrow writes the copies for escrow of all key files of the directory,
// for the recipients in Dir.Escrow, and returns how many. Copies that are there
// are replaced: it is also the way to change the recipients.
func (d *Dir) WriteEscrow(ctx context.Context) (int, error) {
	if d.Escrow == nil {
		return 0, mail.WithHint(mail.Errorf(mail.Invalid, "there are no recipients to give keys to"), "Set encryption.escrow_recipients.")
	}
	lock, err := d.lock(ctx)
	if err != nil {
		return 0, err
	}
	n, err := d.writeEscrowAll(ctx)
	return n, errors.Join(err, lock.Close())
}

func (d *Dir) writeEscrowAll(ctx context.Context) (int, error) {
	files, err := d.List()
	if err != nil {
		return 0, err
	}
	for i, file := range files {
		t, f, err := d.load(ctx, file.First, file.Segment.Number)
		if err != nil {
			return i, fmt.Errorf("key file %s: %w", FileName(file.First), err)
		}
		err = d.writeEscrow(file.First, f, t)
		t.Wipe()
		if err != nil {
			return i, err
		}
	}
	return len(files), nil
}

// maxEscrow is the size of the largest copy: age adds a header and 16 octets
// for each 64 KiB.
const maxEscrow = maxPlain + 256<<10

// ReadEscrow opens a copy for escrow, and returns what its tree is for.
func ReadEscrow(r io.Reader, ids *Identities) (*Tree, Segment, Group, error) {
	plain, err := decrypt(r, ids)
	defer clear(plain)
	if err != nil {
		return nil, Segment{}, Group{}, err
	}
	f, err := parseIdentity(plain)
	if err != nil {
		return nil, Segment{}, Group{}, err
	}
	t, err := parseContent(f.identity(), plain)
	return t, f.segment, f.epoch.Group, err
}

func decrypt(r io.Reader, ids *Identities) ([]byte, error) {
	dec, err := age.Decrypt(io.LimitReader(r, maxEscrow), ids.list...)
	if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
		return nil, mail.WithHint(mail.Errorf(mail.Denied, "none of the identities opens the copy in escrow"),
			"Use the secret key of one of the recipients that the keys were given to.")
	}
	if err != nil {
		return nil, mail.Errorf(mail.Corrupt, "the copy in escrow is damaged: %w", err)
	}
	plain, err := io.ReadAll(dec)
	if err != nil {
		return plain, mail.Errorf(mail.Corrupt, "the copy in escrow is damaged: %w", err)
	}
	return plain, nil
}

// RestoreEscrow makes the key file of a segment from its copy for escrow, in
// the current epoch of its group. It replaces no key file: fs.ErrExist.
func (d *Dir) RestoreEscrow(ctx context.Context, first uint64, ids *Identities) error {
	lock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(d.restoreLocked(ctx, first, ids), lock.Close()); err != nil {
		return fmt.Errorf("restore from %s: %w", EscrowName(first), err)
	}
	return nil
}

func (d *Dir) restoreLocked(ctx context.Context, first uint64, ids *Identities) error {
	f, err := d.fromEscrow(ctx, first, ids)
	if err != nil {
		return err
	}
	return classify(durable.WriteOnce(d.FS, FileName(first), f.encode()))
}

// fromEscrow seals what the copy of a segment holds in the current epoch.
func (d *Dir) fromEscrow(ctx context.Context, first uint64, ids *Identities) (*keyFile, error) {
	b, err := durable.ReadBounded(d.FS, EscrowName(first), maxEscrow)
	if err != nil {
		return nil, classify(err)
	}
	t, s, g, err := ReadEscrow(bytes.NewReader(b), ids)
	if err != nil {
		return nil, err
	}
	defer t.Wipe()
	if err := (&keyFile{segment: s}).belongsTo(d.segment(s.Number)); err != nil {
		return nil, err
	}
	e, err := d.Wrapper.NewEpoch(ctx, g, 0)
	if err != nil {
		return nil, err
	}
	return sealFile(ctx, d.Wrapper, s, e, t)
}
