package extract

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"
)

// A Kind is a family of documents with one reader; also the name of its
// extractor.
type Kind string

// The kinds of documents. ZIP, OLE and XML are also what many office formats
// look like at first; their readers tell more exactly.
const (
	Unknown  Kind = "unknown"
	Binary   Kind = "binary" // programs, sounds, films, fonts, signatures: no text by nature
	Plain    Kind = "plain"  // any text, CSV too
	HTML     Kind = "html"
	XML      Kind = "xml"
	Calendar Kind = "ics" // RFC 5545
	Card     Kind = "vcf" // RFC 6350
	PDF      Kind = "pdf"
	Image    Kind = "image"
	DOCX     Kind = "docx" // ECMA-376, as are XLSX and PPTX
	XLSX     Kind = "xlsx"
	PPTX     Kind = "pptx"
	ODF      Kind = "odf" // OpenDocument, flat or packed
	DOC      Kind = "doc" // [MS-DOC], Word 6 and 95 too
	XLS      Kind = "xls" // [MS-XLS], BIFF 2 to 8
	PPT      Kind = "ppt" // [MS-PPT]
	OLE      Kind = "ole" // a compound file that is none of these
	RTF      Kind = "rtf"
	Mail     Kind = "mail"  // RFC 5322, MHTML too
	SMIME    Kind = "smime" // RFC 8551, application/pkcs7-mime
	MSG      Kind = "msg"   // [MS-OXMSG]
	TNEF     Kind = "tnef"  // [MS-OXTNEF]
	ZIP      Kind = "zip"
	SevenZip Kind = "7z"
	RAR      Kind = "rar"
	Tar      Kind = "tar"
	Gzip     Kind = "gzip"
	Bzip2    Kind = "bzip2"
	XZ       Kind = "xz"
)

// magics are the first octets of formats that have such.
var magics = []struct {
	magic string
	kind  Kind
}{
	{"PK\x03\x04", ZIP}, {"PK\x05\x06", ZIP}, {"PK\x07\x08PK\x03\x04", ZIP}, {"PK00PK\x03\x04", ZIP},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE},
	{`{\rtf`, RTF}, {`{\urtf`, RTF},
	{"\x78\x9f\x3e\x22", TNEF},
	{"7z\xbc\xaf\x27\x1c", SevenZip}, {"Rar!\x1a\x07", RAR}, {"\x1f\x8b\x08", Gzip}, {"\xfd7zXZ\x00", XZ},
	{"\x09\x08\x10\x00\x00\x06\x05\x00", XLS}, {"\x09\x08\x08\x00\x00\x05\x05\x00", XLS}, // BIFF without a compound file
	{"\x09\x00\x04\x00", XLS}, {"\x09\x02\x06\x00", XLS}, {"\x09\x04\x06\x00", XLS},
	{"\x31\xbe\x00\x00", Unknown}, {"\xdb\xa5\x2d\x00", DOC}, {"\xffWPC", Unknown}, // Write, Word 2, WordPerfect
	{"\x89PNG\r\n", Image}, {"\xff\xd8\xff", Image}, {"GIF8", Image}, {"II*\x00", Image}, {"MM\x00*", Image},
	{"MZ\x90", Binary}, {"\x7fELF", Binary}, {"OggS", Binary}, {"ID3", Binary}, {"fLaC", Binary}, {"wOFF", Binary}, {"wOF2", Binary},
}

// types map media types that mean one kind.
var types = map[string]Kind{
	"text/html": HTML, "application/xhtml+xml": HTML, "text/xml": XML, "application/xml": XML,
	"text/calendar": Calendar, "application/ics": Calendar, "text/vcard": Card, "text/x-vcard": Card, "text/directory": Card,
	"text/rtf": RTF, "application/rtf": RTF, "application/pdf": PDF, "application/x-pdf": PDF,
	"application/msword": DOC, "application/vnd.ms-excel": XLS, "application/vnd.ms-powerpoint": PPT,
	"application/vnd.ms-outlook": MSG, "application/ms-tnef": TNEF, "application/vnd.ms-tnef": TNEF,
	"application/pkcs7-mime": SMIME, "application/x-pkcs7-mime": SMIME,
	"message/rfc822": Mail, "message/global": Mail, "multipart/related": Mail,
	"application/zip": ZIP, "application/x-zip-compressed": ZIP, "application/x-7z-compressed": SevenZip,
	"application/vnd.rar": RAR, "application/x-rar-compressed": RAR, "application/x-rar": RAR,
	"application/x-tar": Tar, "application/gzip": Gzip, "application/x-gzip": Gzip,
	"application/x-bzip2": Bzip2, "application/x-xz": XZ,
	"application/pgp-signature": Binary, "application/pkcs7-signature": Binary, "application/x-pkcs7-signature": Binary,
	"application/pgp-keys": Binary, "application/x-msdownload": Binary,
	"application/json": Plain, "application/x-yaml": Plain, "application/yaml": Plain, "application/javascript": Plain, "application/csv": Plain,
}

// families map prefixes of media types.
var families = []struct {
	prefix string
	kind   Kind
}{
	{"application/vnd.openxmlformats-officedocument.wordprocessingml.", DOCX},
	{"application/vnd.openxmlformats-officedocument.spreadsheetml.", XLSX},
	{"application/vnd.openxmlformats-officedocument.presentationml.", PPTX},
	{"application/vnd.ms-word.", DOCX}, {"application/vnd.ms-excel.", XLSX}, {"application/vnd.ms-powerpoint.", PPTX},
	{"application/vnd.oasis.opendocument.", ODF}, {"application/vnd.sun.xml.", ODF},
	{"image/svg", XML}, {"image/", Image}, {"audio/", Binary}, {"video/", Binary}, {"font/", Binary}, {"model/", Binary},
	{"text/", Plain},
}

// extensions map the ends of file names.
var extensions = map[string]Kind{
	".txt": Plain, ".csv": Plain, ".tsv": Plain, ".log": Plain, ".md": Plain, ".json": Plain, ".yaml": Plain, ".yml": Plain, ".asc": Plain, ".ini": Plain, ".tex": Plain,
	".htm": HTML, ".html": HTML, ".xhtml": HTML, ".xml": XML, ".svg": XML, ".ics": Calendar, ".vcs": Calendar, ".ifb": Calendar, ".vcf": Card, ".pdf": PDF,
	".docx": DOCX, ".docm": DOCX, ".dotx": DOCX, ".dotm": DOCX, ".xlsx": XLSX, ".xlsm": XLSX, ".xltx": XLSX, ".xltm": XLSX, ".xlsb": XLSX,
	".pptx": PPTX, ".pptm": PPTX, ".ppsx": PPTX, ".ppsm": PPTX, ".potx": PPTX, ".potm": PPTX,
	".odt": ODF, ".ott": ODF, ".ods": ODF, ".ots": ODF, ".odp": ODF, ".otp": ODF, ".odg": ODF, ".fodt": ODF, ".fods": ODF, ".fodp": ODF, ".sxw": ODF, ".sxc": ODF, ".sxi": ODF,
	".doc": DOC, ".dot": DOC, ".xls": XLS, ".xlt": XLS, ".xla": XLS, ".ppt": PPT, ".pps": PPT, ".pot": PPT, ".rtf": RTF,
	".p7m": SMIME, ".eml": Mail, ".mht": Mail, ".mhtml": Mail, ".msg": MSG, ".oft": MSG, ".tnef": TNEF,
	".zip": ZIP, ".jar": ZIP, ".7z": SevenZip, ".rar": RAR, ".tar": Tar, ".gz": Gzip, ".tgz": Gzip, ".bz2": Bzip2, ".tbz": Bzip2, ".tbz2": Bzip2, ".xz": XZ, ".txz": XZ,
	".png": Image, ".jpg": Image, ".jpeg": Image, ".gif": Image, ".bmp": Image, ".tif": Image, ".tiff": Image, ".webp": Image, ".heic": Image, ".ico": Image,
	".mp3": Binary, ".mp4": Binary, ".wav": Binary, ".mov": Binary, ".avi": Binary, ".mkv": Binary, ".ogg": Binary, ".exe": Binary, ".dll": Binary, ".so": Binary,
	".p7s": Binary, ".sig": Binary, ".ttf": Binary, ".otf": Binary, ".woff": Binary, ".woff2": Binary, ".class": Binary,
	".emf": Binary, ".wmf": Binary, ".cur": Binary,
}

// sniffSize bounds how much of a document is looked at to tell its kind.
const sniffSize = 4 << 10

// KindOf tells the kind of a document by its first octets (a few thousand are
// enough), else by its media type, else by its file name, else by whether it
// looks like text. What says that it is an office file and has only text in it
// is read as text: programs export tables in HTML or CSV as ".xls".
func KindOf(name, ctype string, head []byte) Kind {
	head = head[:min(len(head), sniffSize)]
	kind, sure := kindByMagic(head)
	if sure {
		return kind
	}
	declared := kindByLabel(name, ctype)
	if textual(declared) {
		return declared
	}
	if text := kindOfText(head); text != Unknown && (declared == Unknown || !exempt(declared)) {
		return text
	}
	return declared
}

// kindByMagic reports a kind that the octets prove.
func kindByMagic(head []byte) (kind Kind, sure bool) {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind, m.kind != Unknown
		}
	}
	switch {
	case bytes.Contains(head[:min(len(head), 1024)], []byte("%PDF-")):
		return PDF, true
	case len(head) >= 10 && string(head[:3]) == "BZh" && (string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90"):
		return Bzip2, true
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return Tar, true
	case len(head) >= 12 && string(head[:4]) == "RIFF":
		return map[string]Kind{"WEBP": Image}[string(head[8:12])].or(Binary), true
	case len(head) >= 12 && string(head[4:8]) == "ftyp":
		return map[string]Kind{"heic": Image, "mif1": Image, "avif": Image}[string(head[8:12])].or(Binary), true
	}
	return Unknown, false
}

func (k Kind) or(other Kind) Kind {
	if k == "" {
		return other
	}
	return k
}

// kindByLabel tells what the type and the name claim; a type that means nothing
// or any text leaves it to the name.
func kindByLabel(name, ctype string) Kind {
	ctype, _, _ = strings.Cut(ctype, ";")
	ctype = strings.ToLower(strings.TrimSpace(ctype))
	byName := extensions[strings.ToLower(path.Ext(name))].or(Unknown)
	kind, ok := types[ctype]
	for _, f := range families {
		if !ok && strings.HasPrefix(ctype, f.prefix) {
			kind, ok = f.kind, true
		}
	}
	if !ok || kind == Plain && byName != Unknown {
		return byName.or(kind)
	}
	return kind
}

// textual reports whether a kind is text to begin with.
func textual(k Kind) bool {
	switch k {
	case Plain, HTML, XML, Calendar, Card, Mail:
		return true
	}
	return false
}

// exempt reports whether a declared kind is believed against the look of text.
func exempt(k Kind) bool { return k == Binary || k == ODF || k == Image || k == SMIME }

// kindOfText tells what text the octets look like, or Unknown.
func kindOfText(head []byte) Kind {
	b := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	lower := bytes.ToLower(b[:min(len(b), 512)])
	switch {
	case !looksLikeText(head):
		return Unknown
	case bytes.HasPrefix(lower, []byte("begin:vcalendar")):
		return Calendar
	case bytes.HasPrefix(lower, []byte("begin:vcard")):
		return Card
	case bytes.HasPrefix(lower, []byte("mime-version:")), bytes.HasPrefix(lower, []byte("return-path:")), bytes.HasPrefix(lower, []byte("received:")):
		return Mail
	case bytes.HasPrefix(lower, []byte("<?xml")) && !bytes.Contains(lower, []byte("<html")):
		return XML
	case bytes.HasPrefix(lower, []byte("<!doctype html")), bytes.Contains(lower, []byte("<html")), bytes.HasPrefix(lower, []byte("<table")):
		return HTML
	}
	return Plain
}

// looksLikeText reports whether the octets may be text: of UTF-16 by its mark,
// else without NUL and with next to no controls.
func looksLikeText(head []byte) bool {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return len(head) > 2
	}
	controls, high := 0, 0
	for _, c := range head {
		switch {
		case c == 0:
			return false
		case c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b:
			controls++
		case c >= 0x80:
			high++
		}
	}
	if len(head) == 0 || controls > len(head)/100 {
		return false
	}
	return high < len(head)/3 || validUpToEnd(head)
}

// validUpToEnd reports whether b is UTF-8 but for a character cut at its end.
func validUpToEnd(b []byte) bool {
	for i := 0; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.Valid(b[:len(b)-i]) {
			return true
		}
	}
	return false
}
