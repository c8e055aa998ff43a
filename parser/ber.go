package parser

// A berItem is one element of BER (ITU-T X.690) with its content by slice.
type berItem struct {
	tag  byte // identifier octet; tags above 30 are not read
	body []byte
}

const (
	tagOctets     = 0x04
	tagOctetsJoin = 0x24 // OCTET STRING in pieces
	tagOID        = 0x06
	tagSequence   = 0x30
	tagExplicit0  = 0xa0

	oidSignedData        = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	oidEnvelopedData     = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
	oidEncryptedData     = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06"
	oidAuthEnvelopedData = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"
	oidCompressedData    = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09"
)

const (
	maxBERDepth  = 16 // nesting of elements of unknown length
	maxBERLength = 4  // octets of a length
)

// readBER reads the element at the start of b. An element of indefinite length,
// which mail software writes while it streams, ends at its end-of-contents mark
// or with b; one whose length runs past b is cut there, because mail is
// truncated on the way and what is there is worth reading.
func readBER(b []byte) (item berItem, rest []byte, ok bool) {
	return readBERAt(b, 0)
}

func readBERAt(b []byte, depth int) (item berItem, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return berItem{}, nil, false
	}
	n, head := int(b[1]), 2
	switch {
	case n == 0x80:
		return indefinite(b, depth)
	case n > 0x80:
		size := n & 0x7f
		if size > maxBERLength || len(b) < 2+size {
			return berItem{}, nil, false
		}
		n = 0
		for _, c := range b[2 : 2+size] {
			n = n<<8 | int(c)
		}
		head += size
	}
	end := min(len(b), head+n)
	return berItem{b[0], b[head:end]}, b[end:], true
}

// indefinite reads an element that ends with two zero octets. Each octet is
// looked at once per level, and levels are few.
func indefinite(b []byte, depth int) (item berItem, rest []byte, ok bool) {
	if depth >= maxBERDepth || b[0]&0x20 == 0 {
		return berItem{}, nil, false
	}
	at := b[2:]
	for {
		if len(at) < 2 {
			return berItem{b[0], b[2:]}, nil, true
		}
		if at[0] == 0 && at[1] == 0 {
			return berItem{b[0], b[2 : len(b)-len(at)]}, at[2:], true
		}
		if _, at, ok = readBERAt(at, depth+1); !ok {
			return berItem{b[0], b[2:]}, nil, true
		}
	}
}

// joinOctets appends the content of the OCTET STRINGs in b, which may come in
// pieces within pieces.
func joinOctets(dst, b []byte, depth int) []byte {
	for len(b) > 0 && depth < maxBERDepth {
		item, rest, ok := readBER(b)
		if !ok {
			break
		}
		switch item.tag {
		case tagOctets:
			dst = append(dst, item.body...)
		case tagOctetsJoin:
			dst = joinOctets(dst, item.body, depth+1)
		}
		b = rest
	}
	return dst
}
