package configs

import "path/filepath"

// direct checks what an archive needs that has no disk of its own: a store for all
// that its ledger rests on, and secrets that are kept elsewhere.
func (k *checking) direct(s Store) {
	c := k.config
	within(k, "store.direct.max_bytes", s.Direct.MaxBytes, mib/4, 64*mib)
	within(k, "store.direct.linger", s.Direct.Linger, 0, 20*second)
	if s.Kind == "none" {
		k.fault("store.mode", "direct needs a store", "set store.kind: s3")
	}
	if s.Kind == "s3" && s.S3.KeysBucket == "" {
		k.fault("store.s3.keys_bucket", "is missing; with mode: direct what may change is there: key files, signed checkpoints, anchors", "name a bucket without versions")
	}
	if k.insideArchive(s.Dir) {
		k.fault("store.dir", "lies in archive.dir, which may vanish", "name a directory elsewhere")
	}
	k.directSecrets(s)
	if c.Archive.Immutable == "auto" {
		k.fault("archive.immutable", "with store.mode: direct nothing in archive.dir stays", "remove it")
	}
	if s.KeepLocal != 0 {
		if _, written := k.origins["store.keep_local"]; written {
			k.warn("store.keep_local", "has no meaning with store.mode: direct", "remove it")
		}
	}
}

// directSecrets refuses secrets that would vanish with the archive's directory.
func (k *checking) directSecrets(s Store) {
	c := k.config
	switch file := c.Transparency.KeyFile; {
	case file == "":
		k.fault("transparency.key_file", "is missing; with store.mode: direct the key that signs checkpoints cannot be in archive.dir", "name a file that survives")
	case k.insideArchive(file):
		k.fault("transparency.key_file", quote(file)+" lies in archive.dir, which may vanish", "name a file that survives")
	}
	if c.Encryption.KeyFile != "" {
		k.fault("encryption.key_file", "with store.mode: direct there is no disk for it: the file grows with each year and class", "set encryption.key_env or encryption.vault")
	}
	if _, on := c.ResolveEncryption(); on && s.Kind == "dir" {
		k.fault("store.kind", "an encrypted archive of mode: direct has its key files in a bucket", "set store.kind: s3")
	}
}

// insideArchive reports whether a file lies in the archive's directory.
func (k *checking) insideArchive(file string) bool {
	if file == "" {
		return false
	}
	inside, err := filepath.Rel(k.config.Archive.Dir, file)
	return err == nil && filepath.IsLocal(inside)
}
