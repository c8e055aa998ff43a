package extract

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/bodgit/sevenzip"
	"github.com/nwaples/rardecode/v2"
	"github.com/ulikunitz/xz"
)

// dictionaryLimit bounds the window that a stream may ask a decompressor for,
// before it has given anything.
const dictionaryLimit = 64 << 20

// zipArchive reads the files of an archive that is no office document.
func (r *reading) zipArchive(entries []zipEntry, more bool, c *container) error {
	for _, e := range entries {
		if strings.HasSuffix(e.name, "/") && len(e.packed) == 0 {
			continue
		}
		m, err := c.open(e)
		if err != nil {
			r.refuse(e.name, err)
			continue
		}
		if err := r.embedPacked(e.name, m); err != nil {
			return err
		}
	}
	if more {
		return fmt.Errorf("too many entries: %w", errLimit)
	}
	return nil
}

// refuse accounts for an entry that cannot be opened.
func (r *reading) refuse(name string, err error) {
	r.unreadable(name)
	r.mark(name, statusOf(err), err.Error())
}

func (r *reading) container() *container {
	return &container{work: r.work, in: int64(len(r.doc.Data))}
}

func (r *reading) tar() error {
	c := r.container()
	t := tar.NewReader(bytes.NewReader(r.doc.Data))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := r.embedPacked(h.Name, c.meter(t, nil)); err != nil {
			return err
		}
	}
}

func (r *reading) sevenZip() error {
	z, err := sevenzip.NewReader(bytes.NewReader(r.doc.Data), int64(len(r.doc.Data)))
	if err != nil {
		return sevenZipError(err)
	}
	c := r.container()
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		if err := r.sevenZipFile(f, c); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) sevenZipFile(f *sevenzip.File, c *container) error {
	src, err := f.Open()
	if err != nil {
		r.refuse(f.Name, sevenZipError(err))
		return nil
	}
	defer src.Close()
	return r.embedPacked(f.Name, c.meter(sevenZipReader{src}, nil))
}

// A sevenZipReader tells of encryption in the words of this package.
type sevenZipReader struct{ r io.Reader }

func (z sevenZipReader) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = sevenZipError(err)
	}
	return n, err
}

func sevenZipError(err error) error {
	if e, ok := errors.AsType[*sevenzip.ReadError](err); ok && e.Encrypted {
		return errEncrypted
	}
	return fmt.Errorf("read 7z: %w", err)
}

func (r *reading) rar() error {
	src := bytes.NewReader(r.doc.Data)
	a, err := rardecode.NewReader(src, rardecode.MaxDictionarySize(dictionaryLimit))
	if err != nil {
		return rarError(err)
	}
	c := r.container()
	for {
		h, err := a.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return rarError(err)
		case h.IsDir:
			continue
		case h.Encrypted:
			r.refuse(h.Name, errEncrypted)
			continue
		}
		if err := r.embedPacked(h.Name, c.meter(a, nil)); err != nil {
			return err
		}
	}
}

func rarError(err error) error {
	if errors.Is(err, rardecode.ErrArchiveEncrypted) || errors.Is(err, rardecode.ErrArchivedFileEncrypted) {
		return errEncrypted
	}
	return fmt.Errorf("read RAR: %w", err)
}

func (r *reading) gzip() error {
	return r.unpackStream(func(src *bytes.Reader) (io.Reader, string, error) {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, "", fmt.Errorf("open gzip: %w", err)
		}
		return z, z.Name, nil
	})
}

func (r *reading) bzip2() error {
	return r.unpackStream(func(src *bytes.Reader) (io.Reader, string, error) { return bzip2.NewReader(src), "", nil })
}

func (r *reading) xz() error {
	if !xzWindowOK(r.doc.Data) {
		return fmt.Errorf("XZ asks for too large a window: %w", errLimit)
	}
	return r.unpackStream(func(src *bytes.Reader) (io.Reader, string, error) {
		z, err := xz.NewReader(src)
		if err != nil {
			return nil, "", fmt.Errorf("open XZ: %w", err)
		}
		return z, "", nil
	})
}

// xzWindowOK reads the size of the window out of the first block's header (the
// .xz format, section 5.3.1), because the decompressor makes it at once. A block
// behind the first could ask for more; the process that reads has a limit too.
func xzWindowOK(b []byte) bool {
	const header = 12
	if len(b) < header+6 {
		return true
	}
	block := b[header:]
	size := (int(block[0]) + 1) * 4
	if size > len(block) {
		return true
	}
	i := bytes.Index(block[:size], []byte{0x21, 0x01}) // LZMA2, one octet of properties
	if i < 0 || i+2 >= size {
		return true
	}
	bits := block[i+2] & 0x3f
	return bits <= 40 && (2|int64(bits)&1)<<(bits/2+11) <= dictionaryLimit
}

// unpackStream reads a compressed stream of one document, often a tar.
func (r *reading) unpackStream(open func(*bytes.Reader) (io.Reader, string, error)) error {
	src := bytes.NewReader(r.doc.Data)
	z, name, err := open(src)
	if err != nil {
		return err
	}
	if name == "" {
		name = innerName(r.doc.Name)
	}
	m := r.container().meter(z, func() int64 { return src.Size() - int64(src.Len()) })
	if err := r.embedPacked(name, m); err != nil {
		return err
	}
	if m.out == 0 && m.fail != nil && !errors.Is(m.fail, io.EOF) {
		return m.fail
	}
	return nil
}

// innerName takes the last extension off: what was compressed to a.txt.gz.
func innerName(name string) string {
	ext := path.Ext(name)
	inner := strings.TrimSuffix(name, ext)
	switch strings.ToLower(ext) {
	case ".tgz", ".tbz", ".tbz2", ".txz":
		return inner + ".tar"
	}
	return inner
}
