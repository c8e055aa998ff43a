package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

// A Dir is a Store in a directory: a file of mode 0444 for each object, and beside
// it <name>.meta with its retention. It has one version of each object. It keeps
// retention itself; against others it has no more than the immutable flag of the
// file system, where that exists.
type Dir struct {
	fs        durable.FS
	place     string
	immutable bool
	now       func() time.Time
	mu        sync.Mutex // one change at a time; lockName is for other processes
}

var _ Store = (*Dir)(nil)

// Names in a Dir that no object may have.
const (
	metaSuffix  = ".meta"
	tmpSuffix   = ".tmp"
	dirLockName = "lock"
)

// dirMeta is what a Dir knows of an object, as JSON.
type dirMeta struct {
	Sum       mail.Digest `json:"sha256"`
	Retention Retention   `json:"retention,omitzero"`
	Hold      bool        `json:"hold,omitempty"`
	Stored    time.Time   `json:"stored"`
}

// NewDir returns the store in fsys, whose root is its directory; place names it for
// people. With immutable the flag is set on each object that has a retention, and
// an object whose flag cannot be set is not stored. now may be nil.
func NewDir(fsys durable.FS, place string, immutable bool, now func() time.Time) *Dir {
	if now == nil {
		now = time.Now
	}
	return &Dir{fs: fsys, place: place, immutable: immutable, now: now}
}

// String implements Store.
func (d *Dir) String() string { return "directory " + d.place }

// change runs one that changes something.
func (d *Dir) change(ctx context.Context, name string, do func() error) (err error) {
	if err := errors.Join(ctx.Err(), checkDirName(name)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	lock, err := d.fs.Lock(dirLockName)
	if err != nil {
		return mail.Errorf(mail.Temporary, "%s is being changed: %w", d, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return classifyFile(do())
}

func checkDirName(name string) error {
	if strings.HasSuffix(name, metaSuffix) || strings.HasSuffix(name, tmpSuffix) || name == dirLockName {
		return mail.Errorf(mail.Invalid, "%.80q is a name that the directory needs itself", name)
	}
	return checkName(name)
}

// PutIfAbsent implements Store.
func (d *Dir) PutIfAbsent(ctx context.Context, name string, c Content, r Retention) (o Object, err error) {
	err = d.change(ctx, name, func() error {
		_, err := d.fs.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = d.put(ctx, name, c, r)
		}
		if err != nil {
			return err
		}
		if o, err = d.stat(name); err != nil {
			return err
		}
		if o.Size != c.Size || o.Sum != c.Sum {
			return taken(d, name)
		}
		return d.extend(&o, r)
	})
	if err == nil {
		err = o.agrees(c, r)
	}
	return o, err
}

// put stores a new object. What it knows of it is durable before its name is.
func (d *Dir) put(ctx context.Context, name string, c Content, r Retention) error {
	if err := d.mkdirs(path.Dir(name)); err != nil {
		return err
	}
	if err := d.write(ctx, name+tmpSuffix, c); err != nil {
		return errors.Join(err, ignoreMissing(d.fs.Remove(name+tmpSuffix)))
	}
	// If we die from here on, there are files without an object; the next try
	// replaces them.
	if err := d.writeMeta(name, dirMeta{Sum: c.Sum, Retention: r, Stored: d.now().UTC()}); err != nil {
		return err
	}
	if err := d.fs.Link(name+tmpSuffix, name); err != nil {
		return err
	}
	if err := d.fs.Remove(name + tmpSuffix); err != nil {
		return err
	}
	return d.fs.SyncDir(path.Dir(name))
}

// mkdirs makes a directory such that it survives.
func (d *Dir) mkdirs(dir string) error {
	if _, err := d.fs.Stat(dir); err == nil || dir == "." {
		return err
	}
	if err := d.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := d.fs.MkdirAll(dir); err != nil {
		return err
	}
	return d.fs.SyncDir(path.Dir(dir))
}

func (d *Dir) write(ctx context.Context, name string, c Content) (err error) {
	if err := ignoreMissing(d.fs.Remove(name)); err != nil { // left by a crash
		return err
	}
	f, err := d.fs.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), withContext(ctx, io.NewSectionReader(c, 0, c.Size)))
	if err != nil {
		return err
	}
	if n != c.Size || mail.Digest(sum.Sum(nil)) != c.Sum {
		return mail.Errorf(mail.Corrupt, "%s has changed while it was stored", name)
	}
	if err := d.fs.Chmod(name, 0o444); err != nil {
		return err
	}
	return f.Sync()
}

func (d *Dir) writeMeta(name string, m dirMeta) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(d.fs, name+metaSuffix, append(b, '\n'))
}

func (d *Dir) meta(name string) (m dirMeta, err error) {
	b, err := durable.ReadFile(d.fs, name+metaSuffix)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, mail.Errorf(mail.Corrupt, "%s of %s: %w", name+metaSuffix, d, err)
	}
	return m, nil
}

// Stat implements Store.
func (d *Dir) Stat(ctx context.Context, ref Ref) (Object, error) {
	if err := errors.Join(ctx.Err(), d.checkRef(ref)); err != nil {
		return Object{}, err
	}
	o, err := d.stat(ref.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return o, noObject(d, ref)
	}
	return o, classifyFile(err)
}

func (d *Dir) checkRef(ref Ref) error {
	if ref.Version != "" {
		return noObject(d, ref)
	}
	return checkDirName(ref.Name)
}

func (d *Dir) stat(name string) (Object, error) {
	info, err := d.fs.Stat(name)
	if err != nil {
		return Object{}, err
	}
	m, err := d.meta(name)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = dirMeta{Stored: info.ModTime()}, nil // of Replace
	}
	return Object{Ref: Ref{Name: name}, Size: info.Size(), Sum: m.Sum, Retention: m.Retention, Hold: m.Hold, Stored: m.Stored}, err
}

// GetRange implements Store.
func (d *Dir) GetRange(ctx context.Context, ref Ref, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), d.checkRef(ref)); err != nil {
		return nil, err
	}
	f, err := d.fs.Open(ref.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noObject(d, ref)
	}
	if err != nil {
		return nil, classifyFile(err)
	}
	if n < 0 {
		n = 1<<62 - off
	}
	return struct {
		io.Reader
		io.Closer
	}{withContext(ctx, io.NewSectionReader(f, off, n)), f}, nil
}

// ExtendRetention implements Store.
func (d *Dir) ExtendRetention(ctx context.Context, ref Ref, r Retention) (o Object, err error) {
	err = d.changeObject(ctx, ref, func(found Object) error {
		o = found
		return d.extend(&o, r)
	})
	return o, err
}

// extend is called with the lock held.
func (d *Dir) extend(o *Object, r Retention) error {
	if !o.Retention.Covers(r) {
		o.Retention = o.Retention.extended(r)
		if err := d.writeMeta(o.Name, dirMeta{Sum: o.Sum, Retention: o.Retention, Hold: o.Hold, Stored: o.Stored}); err != nil {
			return err
		}
	}
	return d.flag(o.Name, d.immutable && (o.Retention.Mode != None || o.Hold))
}

// flag sets the immutable flag; it never clears it.
func (d *Dir) flag(name string, on bool) error {
	if !on {
		return nil
	}
	return setFlag(d.fs, name, true)
}

// changeObject runs do on an object that is there.
func (d *Dir) changeObject(ctx context.Context, ref Ref, do func(Object) error) error {
	if err := d.checkRef(ref); err != nil {
		return err
	}
	return d.change(ctx, ref.Name, func() error {
		o, err := d.stat(ref.Name)
		if errors.Is(err, fs.ErrNotExist) {
			return noObject(d, ref)
		}
		if err != nil {
			return err
		}
		return do(o)
	})
}

// SetHold implements Store.
func (d *Dir) SetHold(ctx context.Context, ref Ref, on bool) error {
	return d.changeObject(ctx, ref, func(o Object) error {
		if err := d.writeMeta(ref.Name, dirMeta{Sum: o.Sum, Retention: o.Retention, Hold: on, Stored: o.Stored}); err != nil {
			return err
		}
		return d.flag(ref.Name, d.immutable && on)
	})
}

// DeleteVersion implements Store.
func (d *Dir) DeleteVersion(ctx context.Context, ref Ref) error {
	return d.changeObject(ctx, ref, func(o Object) error {
		if o.Hold || o.Retention.Mode != None && d.now().Before(o.Retention.Until) {
			return mail.Errorf(mail.Denied, "%s is kept %s (hold: %v)", ref, o.Retention, o.Hold)
		}
		if err := unflag(d.fs, ref.Name); err != nil {
			return err
		}
		return d.remove(ref.Name)
	})
}

// remove removes the object before what is known of it.
func (d *Dir) remove(name string) error {
	if err := d.fs.Remove(name); err != nil {
		return err
	}
	if err := d.fs.SyncDir(path.Dir(name)); err != nil {
		return err
	}
	return ignoreMissing(d.fs.Remove(name + metaSuffix))
}

// List implements Store.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, err := d.walk(ctx, ".", prefix, yield); err != nil {
			yield(Object{}, classifyFile(err))
		}
	}
}

// walk reports whether to go on.
func (d *Dir) walk(ctx context.Context, dir, prefix string, yield func(Object, error) bool) (bool, error) {
	entries, err := d.fs.ReadDir(dir)
	if err != nil {
		return false, errors.Join(err, ctx.Err())
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		on := true
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case e.IsDir():
			if strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/") {
				on, err = d.walk(ctx, name, prefix, yield)
			}
		case strings.HasPrefix(name, prefix) && checkDirName(name) == nil:
			var o Object
			if o, err = d.stat(name); err == nil {
				on = yield(Object{Ref: o.Ref, Size: o.Size, Stored: o.Stored}, nil)
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil // it was removed meanwhile
			}
		}
		if err != nil || !on {
			return false, err
		}
	}
	return true, nil
}

// Replace implements Store.
func (d *Dir) Replace(ctx context.Context, name string, data []byte) error {
	return d.change(ctx, name, func() error {
		if err := d.mkdirs(path.Dir(name)); err != nil {
			return err
		}
		return durable.WriteFile(d.fs, name, data)
	})
}

func (d *Dir) attackDelete(_ context.Context, ref Ref) error {
	return d.remove(ref.Name)
}

// attackShorten does nothing: what the driver knows of an object is not what
// forbids to remove it.
func (d *Dir) attackShorten(context.Context, Ref, Retention) error { return nil }

func (d *Dir) attackOverwrite(_ context.Context, name string, data []byte) error {
	return durable.WriteFile(d.fs, name, data)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// classifyFile gives an error of the file system its kind.
func classifyFile(err error) error {
	switch {
	case err == nil, mail.KindOf(err) != mail.Other, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return mail.Errorf(mail.NoSpace, "%w", err)
	case errors.Is(err, fs.ErrPermission):
		return mail.Errorf(mail.Denied, "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return mail.Errorf(mail.NotFound, "%w", err)
	}
	return mail.Errorf(mail.Temporary, "%w", err)
}

// withContext ends a reader with its context.
func withContext(ctx context.Context, r io.Reader) io.Reader { return &bounded{ctx, r} }

type bounded struct {
	ctx context.Context
	r   io.Reader
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("broken off: %w", err)
	}
	return b.r.Read(p)
}
