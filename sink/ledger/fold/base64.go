package fold

import (
	"encoding/base64"
	"encoding/binary"
)

// How many octets behind their result the functions of this file may write, as
// they write eight at once.
const (
	decodeSlack = 8
	encodeSlack = 8
)

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// bad is a bit of values that are none, beyond the 24 bits of four characters.
const bad = 1 << 31

// digits tell what a character means in each of the four places of a group; the
// values of a group are added by OR.
var digits = makeDigits()

func makeDigits() *[4][256]uint32 {
	t := new([4][256]uint32)
	for place := range t {
		for c := range t[place] {
			t[place][c] = bad
		}
		for v, c := range []byte(alphabet) {
			t[place][c] = uint32(v) << (18 - 6*place)
		}
	}
	return t
}

// pairs are the two characters of twelve bits, the first in the upper octet.
var pairs = makePairs()

func makePairs() *[1 << 12]uint16 {
	t := new([1 << 12]uint16)
	for i := range t {
		t[i] = uint16(alphabet[i>>6])<<8 | uint16(alphabet[i&63])
	}
	return t
}

// sextets tell what can stand in a line of base64, its end and padding included.
var sextets = makeSextets()

func makeSextets() *[256]bool {
	t := new([256]bool)
	for _, c := range []byte(alphabet + "=\r\n") {
		t[c] = true
	}
	return t
}

// plausible reports whether the first octets of b can be in a run.
func plausible(b []byte) bool {
	for _, c := range b[:glance] {
		if !sextets[c] {
			return false
		}
	}
	return true
}

// looks reports whether b can begin a line of base64. It is a first look, so that
// text costs little.
func looks(b []byte) bool { return group(b, 0) < bad && group(b, 8) < bad }

// group returns the 24 bits of the group of four characters at b[i].
func group(b []byte, i int) uint32 {
	g := b[i : i+4 : i+4]
	return digits[0][g[0]] | digits[1][g[1]] | digits[2][g[2]] | digits[3][g[3]]
}

// decode decodes groups of four characters without padding into dst, which has
// decodeSlack octets to spare. It returns false if one is no base64.
func decode(dst, src []byte) bool {
	var all uint32
	for len(src) >= 8 {
		s := src[:8:8]
		hi := digits[0][s[0]] | digits[1][s[1]] | digits[2][s[2]] | digits[3][s[3]]
		lo := digits[0][s[4]] | digits[1][s[5]] | digits[2][s[6]] | digits[3][s[7]]
		all |= hi | lo
		binary.BigEndian.PutUint64(dst, uint64(hi)<<40|uint64(lo)<<16)
		src, dst = src[8:], dst[6:]
	}
	if len(src) > 0 {
		v := group(src, 0)
		all |= v
		binary.BigEndian.PutUint32(dst, v<<8)
	}
	return all < bad
}

// decodeLast decodes a line that may have padding into dst, which has decodeSlack
// octets to spare, and returns how many octets it has. It returns false for all
// that an encoder would not write.
func decodeLast(dst, line []byte) (int, bool) {
	n := len(line) - 4
	if n < 0 || !decode(dst, line[:n]) {
		return 0, false
	}
	g, dst, octets := line[n:], dst[n/4*3:], 3
	v := digits[0][g[0]] | digits[1][g[1]]
	unused := uint32(0)
	switch {
	case g[3] != '=':
		v |= digits[2][g[2]] | digits[3][g[3]]
	case g[2] != '=':
		v |= digits[2][g[2]]
		octets, unused = 2, 0xff
	default:
		octets, unused = 1, 0xffff
	}
	binary.BigEndian.PutUint32(dst, v<<8)
	return n/4*3 + octets, v < bad && v&unused == 0
}

// encode writes the base64 of the first n octets of src to dst, which has
// encodeSlack octets to spare, and returns the length of it.
func encode(dst, src []byte, n int) int {
	at, i := 0, 0
	for ; i+6 <= n && i+8 <= len(src) && at+8 <= len(dst); i += 6 {
		v := binary.BigEndian.Uint64(src[i : i+8])
		w := uint64(pairs[v>>52])<<48 | uint64(pairs[v>>40&0xfff])<<32 |
			uint64(pairs[v>>28&0xfff])<<16 | uint64(pairs[v>>16&0xfff])
		binary.BigEndian.PutUint64(dst[at:at+8], w)
		at += 8
	}
	for ; i+3 <= n; i += 3 {
		v := uint32(src[i])<<16 | uint32(src[i+1])<<8 | uint32(src[i+2])
		binary.BigEndian.PutUint32(dst[at:], uint32(pairs[v>>12])<<16|uint32(pairs[v&0xfff]))
		at += 4
	}
	if i < n {
		base64.StdEncoding.Encode(dst[at:], src[i:n])
		at += 4
	}
	return at
}
