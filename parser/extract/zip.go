package extract

import (
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/ulikunitz/xz/lzma"

	"github.com/mailkeep/mailkeep/parser/charset"
)

// The methods of compression (APPNOTE.TXT section 4.4.5) that are read.
const (
	zipStored   = 0
	zipDeflated = 8
	zipBzip2    = 12
	zipLZMA     = 14
	zipAES      = 99 // encryption, by its own header
)

const (
	zipLocal     = "PK\x03\x04"
	zipCentral   = "PK\x01\x02"
	zipEnd       = "PK\x05\x06"
	zipEnd64     = "PK\x06\x06"
	zipLocator64 = "PK\x06\x07"
	zipTrailer   = "PK\x07\x08"
)

// A zipEntry is one file of an archive: where its octets are.
type zipEntry struct {
	name      string // with / between folders and none in front
	method    uint16
	encrypted bool
	packed    []byte
}

// zipEntries lists the files of an archive by its directory, and where that is
// missing or leads nowhere by the headers in front of the files, as in an
// archive that was cut. It lists at most limit files and says whether there are
// more.
func zipEntries(b []byte, limit int) (entries []zipEntry, more bool) {
	entries, more = zipDirectory(b, limit)
	if len(entries) == 0 {
		entries, more = zipScan(b, limit)
	}
	return entries, more
}

// zipDirectory follows the central directory (APPNOTE.TXT section 4.3.12).
func zipDirectory(b []byte, limit int) (entries []zipEntry, more bool) {
	at, shift := zipDirectoryStart(b)
	for at >= 0 && at+46 <= len(b) && string(b[at:at+4]) == zipCentral {
		h := b[at:]
		nameLen, extraLen, noteLen := u16(h, 28), u16(h, 30), u16(h, 32)
		end := 46 + nameLen + extraLen + noteLen
		if end > len(h) {
			break
		}
		if len(entries) == limit {
			return entries, true
		}
		size, off := zip64Sizes(h[46+nameLen:46+nameLen+extraLen], u32(h, 24), u32(h, 20), u32(h, 42))
		e := zipEntry{
			name: zipName(h[46:46+nameLen], u16(h, 8)), method: uint16(u16(h, 10)),
			encrypted: u16(h, 8)&1 != 0,
		}
		if e.locate(b, off, shift, size) {
			entries = append(entries, e)
		}
		at += end
	}
	return entries, false
}

// locate finds the octets of an entry behind its local header.
func (e *zipEntry) locate(b []byte, off uint64, shift int, size uint64) bool {
	if off > uint64(len(b)) {
		return false
	}
	for _, at := range [...]int{int(off) + shift, int(off)} {
		if at < 0 || at+30 > len(b) || string(b[at:at+4]) != zipLocal {
			continue
		}
		rest := b[at+30:]
		skip := min(u16(b[at:], 26)+u16(b[at:], 28), len(rest))
		e.packed = rest[skip:]
		e.packed = e.packed[:min(uint64(len(e.packed)), size)]
		return true
	}
	return false
}

// zipDirectoryStart returns where the directory is, or -1, and by how much all
// offsets are off because something stands before the archive.
func zipDirectoryStart(b []byte) (at, shift int) {
	tail := max(0, len(b)-(math.MaxUint16+22))
	i := bytes.LastIndex(b[tail:], []byte(zipEnd))
	if i < 0 || tail+i+22 > len(b) {
		return -1, 0
	}
	end := tail + i
	size, off := uint64(u32(b[end:], 12)), uint64(u32(b[end:], 16))
	if loc := end - 20; loc >= 0 && string(b[loc:loc+4]) == zipLocator64 {
		at64 := binary.LittleEndian.Uint64(b[loc+8:])
		if at64 <= uint64(len(b)) && len(b)-int(at64) >= 56 && string(b[at64:at64+4]) == zipEnd64 {
			size, off = binary.LittleEndian.Uint64(b[at64+40:]), binary.LittleEndian.Uint64(b[at64+48:])
			end = int(at64)
		}
	}
	if size > uint64(end) || off > uint64(end) {
		return -1, 0
	}
	if off+size <= uint64(end) {
		shift = end - int(size) - int(off)
	}
	return int(off) + shift, shift
}

// zip64Sizes replaces what did not fit into 32 bits by the extra field 1.
func zip64Sizes(extra []byte, plain, packed, off uint32) (size, offset uint64) {
	size, offset = uint64(packed), uint64(off)
	for len(extra) >= 4 {
		id, n := u16(extra, 0), u16(extra, 2)
		if 4+n > len(extra) {
			break
		}
		field := extra[4 : 4+n]
		extra = extra[4+n:]
		if id != 1 {
			continue
		}
		take := func(v *uint64, is bool) {
			if is && len(field) >= 8 {
				*v, field = binary.LittleEndian.Uint64(field), field[8:]
			}
		}
		var unused uint64
		take(&unused, plain == math.MaxUint32)
		take(&size, packed == math.MaxUint32)
		take(&offset, off == math.MaxUint32)
	}
	return size, offset
}

// zipScan walks the local headers (APPNOTE.TXT section 4.3.7).
func zipScan(b []byte, limit int) (entries []zipEntry, more bool) {
	for at := bytes.Index(b, []byte(zipLocal)); at >= 0 && at+30 <= len(b); {
		h := b[at:]
		start := min(30+u16(h, 26)+u16(h, 28), len(h))
		nameEnd := min(30+u16(h, 26), len(h))
		rest, flags, size := h[start:], u16(h, 6), int64(u32(h, 18))
		if flags&8 != 0 && size == 0 || size > int64(len(rest)) {
			size = int64(nextZipHeader(rest))
		}
		if len(entries) == limit {
			return entries, true
		}
		entries = append(entries, zipEntry{
			name: zipName(h[30:nameEnd], flags), method: uint16(u16(h, 8)),
			encrypted: flags&1 != 0, packed: rest[:size],
		})
		from := at + start + int(size)
		i := bytes.Index(b[from:], []byte(zipLocal))
		if i < 0 {
			break
		}
		at = from + i
	}
	return entries, false
}

// nextZipHeader returns where the next header of any kind is, or the end. A
// decompressor that ends earlier does not mind.
func nextZipHeader(b []byte) int {
	end := len(b)
	for _, sig := range [...]string{zipLocal, zipCentral, zipTrailer} {
		if i := bytes.Index(b[:end], []byte(sig)); i >= 0 {
			end = i
		}
	}
	return end
}

// zipName reads a name. Without the flag for UTF-8 it may be in any charset.
func zipName(b []byte, flags int) string {
	label := ""
	if flags&0x800 != 0 {
		label = charset.UTF8
	}
	name := strings.ReplaceAll(charset.Decode(b, label).Text, `\`, "/")
	return strings.TrimLeft(name, "/")
}

// open returns the octets of an entry, counted.
func (c *container) open(e zipEntry) (*meter, error) {
	if e.encrypted || e.method == zipAES {
		return nil, errEncrypted
	}
	src := bytes.NewReader(e.packed)
	r, err := zipReader(e.method, src)
	if err != nil {
		return nil, err
	}
	return c.meter(r, func() int64 { return src.Size() - int64(src.Len()) }), nil
}

func zipReader(method uint16, src *bytes.Reader) (io.Reader, error) {
	switch method {
	case zipStored:
		return src, nil
	case zipDeflated:
		return flate.NewReader(src), nil
	case zipBzip2:
		return bzip2.NewReader(src), nil
	case zipLZMA:
		return zipLZMAReader(src)
	}
	return nil, fmt.Errorf("compression method %d: %w", method, errUnsupported)
}

// zipLZMAReader puts the header of a bare LZMA stream in the place of ZIP's own
// (APPNOTE.TXT section 5.8.8): properties, then an unknown size.
func zipLZMAReader(src *bytes.Reader) (io.Reader, error) {
	var head [9]byte
	if _, err := io.ReadFull(src, head[:]); err != nil || u16(head[:], 2) != 5 {
		return nil, fmt.Errorf("not an LZMA stream")
	}
	bare := append(head[4:9:9], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	r, err := lzma.ReaderConfig{DictCap: dictionaryLimit}.NewReader(io.MultiReader(bytes.NewReader(bare), src))
	if err != nil {
		return nil, fmt.Errorf("open LZMA: %w", err)
	}
	return r, nil
}

func u16(b []byte, at int) int    { return int(binary.LittleEndian.Uint16(b[at:])) }
func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
