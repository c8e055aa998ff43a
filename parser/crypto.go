package parser

import (
	"bytes"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	smime = "smime"
	pgp   = "pgp"
)

// crypto tells what the MIME types and armour lines of a message claim; nil if
// they claim nothing. A message within it speaks for itself.
func (p *parse) crypto(root *node) *mail.Crypto {
	var c mail.Crypto
	walkOwn(root, func(n *node) {
		kind, signed, encrypted := claims(n)
		if kind == "" || c.Kind != "" && c.Kind != kind {
			return // the first kind names the message
		}
		c.Kind, c.Signed, c.Encrypted = kind, c.Signed || signed, c.Encrypted || encrypted
	})
	if c.Kind == "" {
		return nil
	}
	return &c
}

// claims tells what one entity says of itself (RFC 1847, RFC 3156, RFC 8551).
func claims(n *node) (kind string, signed, encrypted bool) {
	switch n.ctype {
	case "multipart/signed":
		kind = protocolKind(n)
		return kind, kind != "", false
	case "multipart/encrypted":
		kind = protocolKind(n)
		return kind, false, kind != ""
	case "application/pgp-encrypted":
		return pgp, false, true
	case "application/pgp-signature":
		return pgp, true, false
	case "application/pkcs7-signature", "application/x-pkcs7-signature":
		return smime, true, false
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		switch smimeType(n) {
		case signedData:
			return smime, true, false
		case envelopedData:
			return smime, false, true
		}
		return "", false, false
	}
	switch n.armour {
	case armourSigned:
		return pgp, true, false
	case armourMessage:
		return pgp, false, true
	}
	return "", false, false
}

// protocolKind names the kind by the protocol of a multipart, or by the types
// of its parts where senders leave that out.
func protocolKind(n *node) string {
	names := []string{n.protocol}
	for _, kid := range n.kids {
		names = append(names, kid.ctype)
	}
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, "application/pgp-"):
			return pgp
		case strings.Contains(name, "pkcs7-"):
			return smime
		}
	}
	return ""
}

// What an application/pkcs7-mime part holds (RFC 8551 section 3.2.2).
const (
	signedData     = "signed-data"
	envelopedData  = "enveloped-data"
	compressedData = "compressed-data"
	certsOnly      = "certs-only"
)

// smimeType returns what the part holds: as its octets say, where they are CMS,
// because senders leave the parameter out; else as the parameter says.
func smimeType(n *node) string {
	switch {
	case n.cms == signedData && n.smime == certsOnly:
		return certsOnly
	case n.cms != "":
		return n.cms
	case n.smime == signedData, n.smime == compressedData, n.smime == certsOnly:
		return n.smime
	}
	return envelopedData
}

// An armour is what an armour line (RFC 9580 section 6.2) in a text begins.
type armour uint8

const (
	noArmour armour = iota
	armourSigned
	armourMessage
)

// armourIn finds the first armour line of a text. A quoted one does not count:
// it begins no line.
func armourIn(text string) armour {
	const mark = "-----BEGIN PGP "
	for {
		i := strings.Index(text, mark)
		if i < 0 {
			return noArmour
		}
		line := cutAny(text[i+len(mark):min(len(text), i+80)], "\n")
		if i == 0 || text[i-1] == '\n' {
			switch strings.TrimSpace(line) {
			case "MESSAGE-----":
				return armourMessage
			case "SIGNED MESSAGE-----":
				return armourSigned
			}
		}
		text = text[i+len(mark):]
	}
}

// isCMS reports whether the type is that of CMS objects in mail, or the octets
// of a file named so are.
func isCMS(n *node) bool {
	switch n.ctype {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	}
	return n.ctype == "application/octet-stream" && extension(n.fileName) == ".p7m"
}

// signedContent returns the message that a signed CMS object wraps, and what
// kind of object b is; "" if it is none that is known. The signature is not
// verified.
func signedContent(b []byte) (content []byte, kind string) {
	if bytes.HasPrefix(b, []byte("MI")) { // base64 that its encoding field does not declare
		var f base64Filter
		b = f.finish(f.append(nil, b))
	}
	info, _, ok := readBER(b)
	if !ok || info.tag != tagSequence {
		return nil, ""
	}
	oid, rest, ok := readBER(info.body)
	if !ok || oid.tag != tagOID {
		return nil, ""
	}
	switch string(oid.body) {
	case oidSignedData:
		return encapsulated(rest), signedData
	case oidEnvelopedData, oidAuthEnvelopedData, oidEncryptedData:
		return nil, envelopedData
	case oidCompressedData:
		return nil, compressedData
	}
	return nil, ""
}

// OpenSigned returns the message that a signed CMS object wraps (RFC 8551 section
// 3.5.2), nil where b wraps none; encrypted reports that b is a CMS object whose
// content is encrypted. The signature is not verified.
func OpenSigned(b []byte) (content []byte, encrypted bool) {
	content, kind := signedContent(b)
	return content, kind == envelopedData
}

// encapsulated returns the eContent of what follows the type of a SignedData
// (RFC 5652 section 5): [0] { SEQUENCE { version, digests, SEQUENCE { type, [0] { content } } } }.
func encapsulated(b []byte) []byte {
	outer, _, ok := readBER(b)
	if !ok {
		return nil
	}
	data, _, ok := readBER(outer.body)
	if !ok || data.tag != tagSequence {
		return nil
	}
	rest := data.body
	var item berItem
	for range 3 { // version, digestAlgorithms, encapContentInfo
		if item, rest, ok = readBER(rest); !ok {
			return nil
		}
	}
	_, rest, ok = readBER(item.body) // eContentType
	if !ok {
		return nil
	}
	explicit, _, ok := readBER(rest)
	if !ok || explicit.tag != tagExplicit0 {
		return nil
	}
	return joinOctets(nil, explicit.body, 0)
}
