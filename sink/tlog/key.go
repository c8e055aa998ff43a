package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// algEd25519 is the signature type of c2sp.org/signed-note for Ed25519.
const algEd25519 = 1

// Origin is the name of a partition's log: the first line of its checkpoints,
// and the name of the key that signs them.
func Origin(archive string, partition uint16) string {
	return fmt.Sprintf("%s/%d", archive, partition)
}

// A Key signs the checkpoints of an archive: one Ed25519 key, under the name of
// each log. The origin in what is signed keeps the logs apart.
type Key struct {
	archive string
	private ed25519.PrivateKey
}

// NewKey makes a key for the archive with the UUID.
func NewKey(archive string) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the signing key: %w", err)
	}
	return &Key{archive: archive, private: private}, nil
}

// ParseKey reads the form that Secret writes. The key must be of the archive.
func ParseKey(text []byte, archive string) (*Key, error) {
	bad := mail.Errorf(mail.Invalid, "the file holds no signing key of the archive %s", archive)
	f := strings.SplitN(strings.TrimSpace(string(text)), "+", 5)
	if len(f) != 5 || f[0] != "PRIVATE" || f[1] != "KEY" || f[2] != archive {
		return nil, bad
	}
	b, err := base64.StdEncoding.DecodeString(f[4])
	if err != nil || len(b) != 1+ed25519.SeedSize || b[0] != algEd25519 {
		return nil, bad
	}
	k := &Key{archive: archive, private: ed25519.NewKeyFromSeed(b[1:])}
	if _, err := note.NewSigner(strings.TrimSpace(string(text))); err != nil {
		return nil, bad
	}
	return k, nil
}

// Secret is the private key in the form of golang.org/x/mod/sumdb/note, with a
// newline. It must not be shown.
func (k *Key) Secret() []byte { return []byte(k.skey(k.archive) + "\n") }

// VKey is the public key of a log of the archive (c2sp.org/signed-note).
func (k *Key) VKey(partition uint16) string { return k.vkey(Origin(k.archive, partition)) }

func (k *Key) vkey(name string) string {
	return name + k.hash(name) + base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, k.public()...))
}

func (k *Key) skey(name string) string {
	return "PRIVATE+KEY+" + name + k.hash(name) + base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, k.private.Seed()...))
}

// hash is the key's identifier under a name, between plus signs.
func (k *Key) hash(name string) string {
	return fmt.Sprintf("+%08x+", keyID(name, algEd25519, k.public()))
}

func (k *Key) public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// signer signs under the name of a log.
func (k *Key) signer(name string) (note.Signer, error) { return note.NewSigner(k.skey(name)) }

// keyID is the key identifier of c2sp.org/signed-note.
func keyID(name string, alg byte, key []byte) uint32 {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n', alg})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// rename gives a public key of the archive the name of one of its logs, or of
// the archive itself.
func rename(vkey, name string) (string, error) {
	_, rest, _ := strings.Cut(vkey, "+")
	_, enc, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.DecodeString(enc)
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != algEd25519 {
		return "", mail.Errorf(mail.Invalid, "%q is not the public key of a log", vkey)
	}
	return note.NewEd25519VerifierKey(name, b[1:])
}

// LoadKey reads the signing key from a file; fs.ErrNotExist if there is none. A
// file that others may read is refused as mail.Denied.
func LoadKey(fsys durable.FS, name, archive string) (*Key, error) {
	info, err := fsys.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, mail.WithHint(mail.Errorf(mail.Denied, "the signing key %s can be read by others: its mode is %04o", name, info.Mode().Perm()),
			"run chmod 600 on it; if others may have read it, change the key")
	}
	b, err := durable.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	k, err := ParseKey(b, archive)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", name, err)
	}
	return k, nil
}

// SaveKey writes the signing key, durably and with mode 0600, and never
// replaces a file.
func SaveKey(fsys durable.FS, name string, k *Key) error {
	if _, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("signing key %s: %w", name, fs.ErrExist))
	}
	return durable.WriteFile(fsys, name, k.Secret())
}
