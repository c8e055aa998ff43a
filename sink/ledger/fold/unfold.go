package fold

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Unfold appends to dst the size octets that folded was made of. It returns an
// error, and dst as it was, if folded is not well formed or makes another number
// of octets.
func Unfold(dst, folded []byte, size int) ([]byte, error) {
	list, data, err := split(folded)
	if err != nil {
		return dst, err
	}
	literals, err := measure(list, data, size)
	if err != nil {
		return dst, err
	}
	text, payload := data[:literals], data[literals:]
	out := slices.Grow(dst, size+encodeSlack)
	for ; len(list) > 0; list = list[runSize:] {
		r := parseRun(list)
		out = append(out, text[:r.gap]...)
		out = r.unfold(out, payload[:r.n])
		text, payload = text[r.gap:], payload[r.n:]
	}
	return append(out, text...), nil
}

// split returns the list of runs, and what is behind it.
func split(folded []byte) (list, data []byte, err error) {
	if len(folded) < countSize {
		return nil, nil, errors.New("folded content is cut short")
	}
	n, rest := int64(binary.BigEndian.Uint32(folded)), folded[countSize:]
	if n*runSize > int64(len(rest)) {
		return nil, nil, fmt.Errorf("folded content of %d octets has no list of %d runs", len(folded), n)
	}
	return rest[:n*runSize], rest[n*runSize:], nil
}

// measure checks all that the list says against the length of the data, and
// returns how many of it are literals. The sums cannot overflow: there are at
// most 2^32 runs of less than 2^30 octets.
func measure(list, data []byte, size int) (literals int, err error) {
	var gaps, encoded, unfolded int64
	for l := list; len(l) > 0; l = l[runSize:] {
		r := parseRun(l)
		if r.n <= 0 || r.n > maxRaw || r.gap < 0 || r.gap > maxRaw ||
			r.line == 0 || r.line%4 != 0 || r.end != endLF && r.end != endCRLF || l[runSize-1] != 0 {
			return 0, fmt.Errorf("run %d of the folded content is malformed", (len(list)-len(l))/runSize)
		}
		gaps += int64(r.gap)
		encoded += int64(r.n)
		unfolded += int64(r.size())
	}
	rest := int64(len(data)) - encoded
	if rest < gaps {
		return 0, fmt.Errorf("folded content lacks %d octets", gaps-rest)
	}
	if rest+unfolded != int64(size) {
		return 0, fmt.Errorf("folded content is of %d octets, not %d", rest+unfolded, size)
	}
	return int(rest), nil
}

func parseRun(b []byte) run {
	return run{
		gap: int(binary.BigEndian.Uint32(b)), n: int(binary.BigEndian.Uint32(b[4:])),
		line: int(binary.BigEndian.Uint16(b[8:])), end: int(b[10]),
	}
}

// unfold appends the lines of the run to dst, which has room for them and
// encodeSlack more.
func (r run) unfold(dst, payload []byte) []byte {
	per := r.line / 4 * 3
	at := len(dst)
	dst = dst[:at+r.size()]
	for len(payload) > 0 {
		n := min(per, len(payload))
		at += encode(dst[at:cap(dst)], payload, n)
		payload = payload[n:]
		if r.end == endCRLF {
			dst[at] = '\r'
			at++
		}
		dst[at] = '\n'
		at++
	}
	return dst
}
