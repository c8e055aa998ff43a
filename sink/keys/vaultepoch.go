package keys

import (
	"context"
	"fmt"
	"slices"

	"github.com/mailkeep/mailkeep/mail"
)

// A vaultKey is what the transit engine tells of a key.
type vaultKey struct {
	Type          string `json:"type"`
	Derived       bool   `json:"derived"`
	Exportable    bool   `json:"exportable"`
	Backup        bool   `json:"allow_plaintext_backup"`
	Latest        uint32 `json:"latest_version"`
	MinDecryption uint32 `json:"min_decryption_version"`
	MinEncryption uint32 `json:"min_encryption_version"`
	MinAvailable  uint32 `json:"min_available_version"`
}

const vaultKeyType = "aes256-gcm96"

// has reports whether a version can still be used to open.
func (k *vaultKey) has(version uint32) bool {
	return version >= max(k.MinDecryption, k.MinAvailable) && version <= k.Latest
}

// fit refuses a key that somebody made in another way than we do.
func (k *vaultKey) fit(name string) error {
	var why string
	switch {
	case k.Type != vaultKeyType:
		why = "is of another type than " + vaultKeyType
	case !k.Derived:
		why = "is not derived, so that what it seals is not bound to its place"
	case k.Exportable, k.Backup:
		why = "may be exported, so that destroying it would prove nothing"
	case k.Latest == 0:
		why = "has no version"
	default:
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "%s: the key %s %s", vaultSource, name, why),
		"Let mailkeep make its keys itself: choose another name in encryption.vault.key.")
}

// read returns what Vault tells of the key of a group; mail.NotFound if there
// is none.
func (v *Vault) read(ctx context.Context, g Group) (*vaultKey, error) {
	var k vaultKey
	if err := v.api.get(ctx, "keys/"+v.name(g), &k); err != nil {
		return nil, err
	}
	return &k, nil
}

// maxRotations bounds how many versions NewEpoch adds to get behind one that
// another source has counted.
const maxRotations = 64

// NewEpoch implements Wrapper. Two processes that do this at once may make two
// versions; both get the newest.
func (v *Vault) NewEpoch(ctx context.Context, g Group, after uint32) (Epoch, error) {
	name := v.name(g)
	k, err := v.read(ctx, g)
	if mail.KindOf(err) == mail.NotFound {
		k, err = v.create(ctx, g)
	}
	if err != nil {
		return Epoch{}, fmt.Errorf("look up the key %s: %w", name, err)
	}
	if err := k.fit(name); err != nil {
		return Epoch{}, err
	}
	if after >= k.Latest && after-k.Latest >= maxRotations {
		return Epoch{}, mail.Errorf(mail.Invalid, "%s: the key %s has %d versions, and more than %d are needed", vaultSource, name, k.Latest, after)
	}
	for k.Latest <= after {
		if err := v.rotate(ctx, g, k); err != nil {
			return Epoch{}, err
		}
	}
	return Epoch{g, k.Latest}, nil
}

func (v *Vault) create(ctx context.Context, g Group) (*vaultKey, error) {
	// Vault leaves a key alone that another process has made meanwhile.
	if err := v.api.post(ctx, "keys/"+v.name(g), map[string]any{"type": vaultKeyType, "derived": true}, nil); err != nil {
		return nil, err
	}
	return v.read(ctx, g)
}

// rotate adds a version to a key, and reads it again into k.
func (v *Vault) rotate(ctx context.Context, g Group, k *vaultKey) error {
	if err := v.api.post(ctx, "keys/"+v.name(g)+"/rotate", nil, nil); err != nil {
		return fmt.Errorf("rotate the key %s: %w", v.name(g), err)
	}
	now, err := v.read(ctx, g)
	if err != nil {
		return fmt.Errorf("look up the key %s: %w", v.name(g), err)
	}
	if now.Latest <= k.Latest {
		return mail.Errorf(mail.Other, "%s: the key %s was rotated and has no new version", vaultSource, v.name(g))
	}
	*k = *now
	return nil
}

// DestroyEpoch implements Wrapper: it raises the least version of the key and
// trims those below. The newest version is replaced first, because Vault keeps
// one. What Vault's own backups hold is out of reach.
func (v *Vault) DestroyEpoch(ctx context.Context, e Epoch) error {
	if e.Version == 0 {
		return v.mayDestroy(ctx, e.Group)
	}
	k, err := v.read(ctx, e.Group)
	switch {
	case err != nil:
		return fmt.Errorf("look up the key %s: %w", v.name(e.Group), err)
	case e.Version > k.Latest:
		return noKEK(vaultSource, e)
	case k.MinAvailable > e.Version:
		return nil
	case k.Latest == e.Version:
		if err := v.rotate(ctx, e.Group, k); err != nil {
			return err
		}
	}
	return v.trim(ctx, e, k)
}

func (v *Vault) trim(ctx context.Context, e Epoch, k *vaultKey) error {
	path, least := "keys/"+v.name(e.Group), e.Version+1
	// In this order each step is allowed, and may be repeated after a failure.
	err := v.api.post(ctx, path+"/config", map[string]uint32{
		"min_decryption_version": max(least, k.MinDecryption), "min_encryption_version": max(least, k.MinEncryption),
	}, nil)
	if err == nil {
		err = v.api.post(ctx, path+"/trim", map[string]uint32{"min_available_version": least}, nil)
	}
	if err != nil {
		return fmt.Errorf("destroy the versions of the key %s before %d: %w", v.name(e.Group), least, err)
	}
	if k, err = v.read(ctx, e.Group); err != nil {
		return fmt.Errorf("see whether the key %s was trimmed: %w", v.name(e.Group), err)
	}
	if k.MinAvailable < least {
		return mail.Errorf(mail.Other, "%s: the key %s was trimmed and still has version %d", vaultSource, v.name(e.Group), e.Version)
	}
	return nil
}

// mayDestroy asks whether the token allows what DestroyEpoch does. If Vault
// does not tell, it is taken to.
func (v *Vault) mayDestroy(ctx context.Context, g Group) error {
	var paths []string
	for _, what := range []string{"rotate", "config", "trim"} {
		paths = append(paths, v.api.mount+"/keys/"+v.name(g)+"/"+what)
	}
	capabilities, err := v.api.capabilities(ctx, paths)
	if mail.KindOf(err) == mail.Denied || mail.KindOf(err) == mail.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	for _, path := range paths {
		may, told := capabilities[path]
		if told && !slices.Contains(may, "update") && !slices.Contains(may, "root") {
			return mail.WithHint(mail.Errorf(mail.Denied, "%s: the token may not update %s: %w", vaultSource, path, ErrCannotDestroy),
				"Give its policy the capability update on keys/%s-*/rotate, config and trim.", v.key)
		}
	}
	return nil
}
