package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/ledger/dictionary"
)

// A library is what the records of an archive are read with, beside the
// ledgers: dictionaries and keys.
type library struct {
	shipped      *ledger.Dictionary   // what new records are compressed with
	dictionaries []*ledger.Dictionary // all of them
	keys         []*keys.Dir          // of each partition; nil: the archive is not encrypted
	source       keySource            // of the keys
}

// ledgerOptions returns what every use of a partition's ledger has in common.
func (d *directory) ledgerOptions(p uint16) ledger.Options {
	o := ledger.Options{
		Partition: p, Archive: d.Identity.UUID(), Software: Software(),
		Dictionary: d.library.shipped, Dictionaries: d.library.dictionaries,
	}
	for _, k := range d.library.keys {
		if k.Partition == p {
			o.Keys = k
		} else {
			o.Others = append(o.Others, k)
		}
	}
	return o
}

// readDictionaries reads those that the archive has. That which ships with the
// program is known beside them, so that a reader of a newer archive's copy needs
// no file for it.
func (d *directory) readDictionaries() error {
	shipped, err := ledger.NewDictionary(dictionary.Mail())
	if err != nil {
		return err
	}
	d.library.shipped = shipped
	d.library.dictionaries = []*ledger.Dictionary{shipped}
	entries, err := d.root.ReadDir(dictDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the dictionaries: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".dict") {
			continue // one that is being written
		}
		one, err := d.readDictionary(e.Name())
		if err != nil {
			return mail.WithHint(fmt.Errorf("%s: %w", filepath.Join(d.Path, dictDir, e.Name()), err),
				"Put the file back from a copy of the archive; mail that was compressed with it cannot be read without it.")
		}
		if one.ID() != shipped.ID() {
			d.library.dictionaries = append(d.library.dictionaries, one)
		}
	}
	return nil
}

func (d *directory) readDictionary(name string) (*ledger.Dictionary, error) {
	b, err := durable.ReadFile(d.root, dictDir+"/"+name)
	if err != nil {
		return nil, err
	}
	one, err := ledger.NewDictionary(b)
	if err != nil {
		return nil, err
	}
	if name != ledger.DictionaryName(one.ID()) {
		return nil, mail.Errorf(mail.Corrupt, "the file holds the dictionary of another name")
	}
	if s := d.library.shipped; one.ID() == s.ID() && one.Sum() != s.Sum() {
		return nil, mail.Errorf(mail.Corrupt, "the file is not the dictionary of this name")
	}
	return one, nil
}

// keepDictionary writes the dictionary that ships with the program into the
// archive, before a record needs it.
func (d *directory) keepDictionary(ctx context.Context) error {
	name := dictDir + "/" + ledger.DictionaryName(d.library.shipped.ID())
	if _, err := d.root.Stat(name); err == nil {
		return nil // readDictionaries has compared it
	}
	dir, err := durable.MakeDir(filepath.Join(d.Path, dictDir))
	if err != nil {
		return fmt.Errorf("make the directory of dictionaries: %w", err)
	}
	if err := dir.Close(); err != nil {
		return err
	}
	lock, err := d.lockIdentity(ctx)
	if err != nil {
		return mail.WithHint(err, "another process is making this archive; start again")
	}
	if err = durable.WriteOnce(d.root, name, dictionary.Mail()); errors.Is(err, fs.ErrExist) {
		err = nil // by another process, meanwhile
	}
	if err != nil {
		err = fmt.Errorf("write the dictionary: %w", err)
	}
	return errors.Join(err, lock.Close())
}

// openKeys makes the key source that the configuration names that of the
// archive, as unlock says.
func (d *directory) openKeys(ctx context.Context, c *configs.Config, owner bool) error {
	s, err := openKeySource(c)
	if err != nil {
		return err
	}
	d.library.source = s
	return d.unlock(ctx, s.Wrapper, s.escrow, owner)
}

// unlock makes the key source w, nil for none, that of the archive. It refuses
// another than the archive was made with, and none if the archive is encrypted,
// and changes nothing then. The owner of an archive that is not encrypted yet
// makes it so for what is sealed from now on.
func (d *directory) unlock(ctx context.Context, w keys.Wrapper, escrow *keys.Recipients, owner bool) error {
	err := keys.Verify(ctx, w, d.Identity.UUID(), d.Identity.KeyCheck)
	if mail.KindOf(err) == mail.NotFound && !errors.Is(err, keys.ErrNoKEK) && d.Identity.KeyCheck == nil {
		if !owner {
			return nil // nothing is encrypted yet
		}
		err = d.lockOnce(ctx, w)
	}
	if err != nil || w == nil {
		return err
	}
	return d.makeKeyDirs(w, escrow)
}

// makeKeyDirs opens the directories of key files, and makes those that are missing.
func (d *directory) makeKeyDirs(w keys.Wrapper, escrow *keys.Recipients) error {
	for _, p := range d.partitions() {
		dir, err := durable.MakeDir(filepath.Join(d.Path, keysDir, fmt.Sprintf("%04d", p)))
		if err != nil {
			return fmt.Errorf("make the directory of keys: %w", err)
		}
		d.library.keys = append(d.library.keys, &keys.Dir{FS: dir, Archive: d.Identity.UUID(), Partition: p, Wrapper: w, Escrow: escrow})
	}
	return nil
}

// lockOnce writes the key check value of the archive, before the first record is
// encrypted, unless another process has done so meanwhile.
func (d *directory) lockOnce(ctx context.Context, w keys.Wrapper) error {
	lock, err := d.lockIdentity(ctx)
	if err != nil {
		return mail.WithHint(err, "another process is beginning to encrypt this archive; start again")
	}
	err = d.load()
	switch {
	case err != nil:
	case d.Identity.KeyCheck != nil:
		err = keys.Verify(ctx, w, d.Identity.UUID(), d.Identity.KeyCheck)
	default:
		if d.Identity.KeyCheck, err = keys.NewCheck(ctx, w, d.Identity.UUID()); err == nil {
			err = d.writeIdentity()
		}
	}
	return errors.Join(err, lock.Close())
}

func (l *library) close() (err error) {
	for _, k := range l.keys {
		err = errors.Join(err, k.FS.Close())
	}
	return errors.Join(err, l.source.Close())
}
