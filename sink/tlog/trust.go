package tlog

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	// VKeyName is the file, in the directory of the archive, that publishes the
	// public keys: one line for each log, signed with nothing. Who relies on it
	// keeps a copy elsewhere.
	VKeyName = "checkpoint.vkey"
	// changesDir holds what was signed when a key was changed.
	changesDir   = "keychanges"
	changeHeader = "mailkeep key change"
)

func changeName(n int) string { return fmt.Sprintf("%s/%04d", changesDir, n) }

// PublishKey writes the public keys of an archive of so many partitions. If
// others are published, the key was changed behind the archive's back: that is
// mail.Denied, and nothing is written.
func PublishKey(root durable.FS, k *Key, partitions int) error {
	keys, err := archiveKeys(root, k.archive)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case keys[len(keys)-1] != k.vkey(k.archive):
		return mail.WithHint(mail.Errorf(mail.Denied, "the signing key is not the one of the archive, which %s publishes", VKeyName),
			"put back the key file; a key is changed by mailkeep newkey alone, which lets the old one vouch for the new one")
	}
	var b strings.Builder
	for p := range partitions {
		b.WriteString(k.VKey(uint16(p)) + "\n")
	}
	if now, err := durable.ReadFile(root, VKeyName); err == nil && string(now) == b.String() {
		return nil
	}
	return durable.WriteFile(root, VKeyName, []byte(b.String()))
}

// IsCurrent reports whether the key is the one with which the archive's keys end.
func IsCurrent(root durable.FS, k *Key) (bool, error) {
	keys, err := archiveKeys(root, k.archive)
	if err != nil {
		return false, err
	}
	return keys[len(keys)-1] == k.vkey(k.archive), nil
}

// HasKey reports whether the archive has published a key: then it must have a
// private one, and none is made.
func HasKey(root durable.FS) (bool, error) {
	_, err := root.Stat(VKeyName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// LoadTrust returns the keys that a log of the archive has had: the published
// one, and those before it that vouch for it. It is mail.NotFound if none is
// published, and mail.Corrupt if they do not follow each other.
func LoadTrust(root durable.FS, archive string, partition uint16) (Trust, error) {
	keys, err := archiveKeys(root, archive)
	if errors.Is(err, fs.ErrNotExist) {
		err = mail.WithHint(mail.Errorf(mail.NotFound, "the archive publishes no key: there is no %s", VKeyName),
			"it is written when mailkeep runs on the archive")
	}
	if err != nil {
		return Trust{}, err
	}
	return NewTrust(Origin(archive, partition), keys...)
}

// archiveKeys returns the archive's keys under its own name, the first one
// first; fs.ErrNotExist if none is published.
func archiveKeys(root durable.FS, archive string) ([]string, error) {
	b, err := durable.ReadFile(root, VKeyName)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	published, err := rename(line, archive)
	if err != nil {
		return nil, mail.Errorf(mail.Corrupt, "%s: %w", VKeyName, err)
	}
	keys, err := changedKeys(root, archive)
	if err != nil {
		return nil, err
	}
	// A crash may have come between the note of a change and the publication.
	n := len(keys)
	switch {
	case n == 0:
		return []string{published}, nil
	case keys[n-1] == published, keys[n-2] == published:
		return keys, nil
	}
	return nil, mail.Errorf(mail.Corrupt, "the key in %s is not the one that the last change of keys made", VKeyName)
}

// changedKeys follows the changes of keys; there are none, or two keys and more.
func changedKeys(root durable.FS, archive string) ([]string, error) {
	var keys []string
	for n := 1; ; n++ {
		b, err := durable.ReadFile(root, changeName(n))
		if errors.Is(err, fs.ErrNotExist) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		before, after, err := openChange(b, archive)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", changeName(n), err)
		}
		if n == 1 {
			keys = append(keys, before)
		} else if keys[len(keys)-1] != before {
			return nil, mail.Errorf(mail.Corrupt, "%s is not from the key of the change before", changeName(n))
		}
		keys = append(keys, after)
	}
}

// openChange verifies the note of one change, by both keys.
func openChange(b []byte, archive string) (before, after string, err error) {
	text, _, _ := strings.Cut(string(b), "\n\n")
	lines := strings.Split(text, "\n")
	bad := mail.Errorf(mail.Corrupt, "not a change of keys of the archive %s", archive)
	if len(lines) != 5 || lines[0] != changeHeader || lines[1] != archive {
		return "", "", bad
	}
	before, okOld := strings.CutPrefix(lines[2], "old ")
	after, okNew := strings.CutPrefix(lines[3], "new ")
	if !okOld || !okNew {
		return "", "", bad
	}
	for _, k := range []string{before, after} {
		v, err := note.NewVerifier(k)
		if err != nil || v.Name() != archive {
			return "", "", bad
		}
		if _, err := note.Open(b, note.VerifierList(v)); err != nil {
			return "", "", mail.Errorf(mail.Corrupt, "the change of keys is not signed by both: %w", err)
		}
	}
	return before, after, nil
}

// ChangeKey lets the archive's key vouch for another one and publishes that. The
// private key of the new one is stored by the caller, before. No log may be open.
func ChangeKey(root durable.FS, before, after *Key, partitions int, now time.Time) error {
	keys, err := archiveKeys(root, before.archive)
	if err != nil {
		return err
	}
	name := before.archive
	if keys[len(keys)-1] != before.vkey(name) || after.archive != name {
		return mail.Errorf(mail.Denied, "the old key is not the published key of the archive, or the new one is of another")
	}
	text := fmt.Sprintf("%s\n%s\nold %s\nnew %s\ntime %s\n", changeHeader, name, before.vkey(name), after.vkey(name), now.UTC().Format(time.RFC3339))
	s1, err1 := before.signer(name)
	s2, err2 := after.signer(name)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: text}, s1, s2)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(changesDir); err != nil {
		return err
	}
	if err := root.SyncDir("."); err != nil {
		return err
	}
	if err := durable.WriteFile(root, changeName(max(len(keys), 1)), signed); err != nil {
		return err
	}
	// If we die here, the new key is the archive's; PublishKey says so.
	return PublishKey(root, after, partitions)
}
