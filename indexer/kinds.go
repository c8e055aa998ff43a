package indexer

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
)

// kinds adds what a message has and is, beside its words. body is its field.
func (b *builder) kinds(r mail.Record, m *mail.Message, body *field) {
	b.keywords(fieldHas, hasOf(m)...)
	b.keywords(fieldIs, isOf(r, m)...)
	b.keywords(fieldType, typesOf(m.Parts)...)
	b.keywords(fieldHash, hashesOf(r, m.Parts)...)
	if !m.Copy.IsZero() {
		b.keywords(fieldCopy, string(m.Copy[:hashSize]))
	}
	if m.MessageID != "" {
		b.keywords(fieldMessageID, m.MessageID)
	}
	if m.List != nil && m.List.ID != "" {
		id := strings.ToLower(m.List.ID)
		label, _, _ := strings.Cut(id, ".")
		b.keywords(fieldList, id, label)
	}
	if code := language(body, m.Text); code != "" {
		b.keywords(fieldLang, code)
	}
	b.keywords(fieldDefect, defectsOf(m.Defects)...)
	b.keywords(fieldExtractor, extractorsOf(m.Parts)...)
}

// attached reports whether a part is something apart from the body.
func attached(p *mail.Part) bool { return p.Role == mail.RoleAttachment || p.Role == mail.RoleNested }

// enclosed reports whether a part is attached or shown inside the body.
func enclosed(p *mail.Part) bool { return attached(p) || p.Role == mail.RoleInline }

func fileNames(parts []mail.Part) []string {
	var out []string
	for _, p := range parts {
		if p.FileName != "" {
			out = append(out, p.FileName)
		}
	}
	return out
}

// subjects returns the subject, and that of the envelope where it differs.
func subjects(m *mail.Message) []string {
	out := []string{m.Subject}
	if m.Envelope != nil && m.Envelope.Subject != m.Subject {
		out = append(out, m.Envelope.Subject)
	}
	return out
}

// attachmentTexts returns what is to read in the parts beside the body.
func attachmentTexts(parts []mail.Part) []string {
	var out []string
	for i := range parts {
		if n := parts[i].Message; n != nil {
			out = append(out, n.Subject)
			for _, list := range [][]mail.Address{n.From, n.To, n.Cc} {
				out = append(out, addressTexts(list)...)
			}
		}
		out = append(out, parts[i].Text)
	}
	return out
}

func hasOf(m *mail.Message) []string {
	var out []string
	for i := range m.Parts {
		p := &m.Parts[i]
		if attached(p) {
			out = append(out, "attachment")
		}
		if p.Role == mail.RoleNested {
			out = append(out, "message")
		}
		if k := contentKind(p); k != "" && enclosed(p) {
			out = append(out, k)
		}
	}
	if linked(m.Text) || linked(m.HTMLText) {
		out = append(out, "link")
	}
	return out
}

func linked(text string) bool {
	return strings.Contains(text, "http://") || strings.Contains(text, "https://")
}

// contentKinds are what has: calls files, by extension and by media type.
var contentKinds = map[string]string{
	"pdf": "pdf", "application/pdf": "pdf",
	"doc": "document", "docx": "document", "docm": "document", "dot": "document", "dotx": "document", "odt": "document", "rtf": "document", "pages": "document",
	"application/msword": "document", "application/rtf": "document", "text/rtf": "document", "application/vnd.oasis.opendocument.text": "document",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "document",
	"xls": "spreadsheet", "xlsx": "spreadsheet", "xlsm": "spreadsheet", "xlsb": "spreadsheet", "ods": "spreadsheet", "csv": "spreadsheet", "numbers": "spreadsheet",
	"application/vnd.ms-excel": "spreadsheet", "text/csv": "spreadsheet", "application/vnd.oasis.opendocument.spreadsheet": "spreadsheet",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "spreadsheet",
	"ppt": "presentation", "pptx": "presentation", "pptm": "presentation", "odp": "presentation", "key": "presentation",
	"application/vnd.ms-powerpoint": "presentation", "application/vnd.oasis.opendocument.presentation": "presentation",
	"application/vnd.openxmlformats-officedocument.presentationml.presentation": "presentation",
	"zip": "archive", "rar": "archive", "7z": "archive", "tar": "archive", "gz": "archive", "tgz": "archive", "bz2": "archive", "xz": "archive", "zst": "archive", "cab": "archive",
	"application/zip": "archive", "application/gzip": "archive", "application/x-tar": "archive", "application/x-7z-compressed": "archive", "application/vnd.rar": "archive",
	"ics": "calendar", "text/calendar": "calendar", "vcf": "contact", "text/vcard": "contact", "text/x-vcard": "contact",
	"jpg": "image", "jpeg": "image", "png": "image", "gif": "image", "tif": "image", "tiff": "image", "bmp": "image", "webp": "image", "heic": "image", "svg": "image",
	"mp3": "audio", "wav": "audio", "ogg": "audio", "m4a": "audio", "flac": "audio", "opus": "audio", "amr": "audio",
	"mp4": "video", "mov": "video", "avi": "video", "mkv": "video", "webm": "video", "wmv": "video", "m4v": "video", "3gp": "video",
}

// contentKind returns what has: calls the part, by its media type or, where
// that says nothing, by its name.
func contentKind(p *mail.Part) string {
	major, _, _ := strings.Cut(p.Type, "/")
	switch major {
	case "image", "audio", "video":
		return major
	}
	if k := contentKinds[p.Type]; k != "" {
		return k
	}
	return contentKinds[extension(p.FileName)]
}

// maxExtension is how long an extension may be.
const maxExtension = 16

// extension returns the extension of a file name in lower case, without the
// dot; "" if it has none.
func extension(name string) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimRight(name, " .")), "."))
	if len(ext) > maxExtension || strings.ContainsAny(ext, " /\\") {
		return ""
	}
	return ext
}

func typesOf(parts []mail.Part) []string {
	var out []string
	for i := range parts {
		p := &parts[i]
		if !enclosed(p) {
			continue
		}
		if ext := extension(p.FileName); ext != "" {
			out = append(out, ext)
		}
		if major, _, ok := strings.Cut(p.Type, "/"); ok {
			out = append(out, strings.ToLower(p.Type), strings.ToLower(major)+"/")
		}
	}
	return out
}

// hashesOf returns the first octets of the digests of the message and of what
// is enclosed.
func hashesOf(r mail.Record, parts []mail.Part) []string {
	var out []string
	add := func(d mail.Digest) {
		if !d.IsZero() {
			out = append(out, string(d[:hashSize]))
		}
	}
	add(r.Delivery.Digest)
	for i := range parts {
		if enclosed(&parts[i]) {
			add(parts[i].Digest)
		}
	}
	return out
}

func isOf(r mail.Record, m *mail.Message) []string {
	var out []string
	add := func(what string, is bool) {
		if is {
			out = append(out, what)
		}
	}
	add("duplicate", r.Kind == mail.KindReference)
	add("journal", m.Envelope != nil && m.Envelope.Source == "exchange-journal")
	if m.Report != nil {
		add(map[string]string{"dsn": "bounce", "mdn": "receipt", "arf": "abuse"}[m.Report.Kind], true)
	}
	if l := m.List; l != nil {
		add("list", l.ID != "")
		add("auto", l.AutoSubmitted != "" && l.AutoSubmitted != "no")
		add("important", l.Importance == "high")
	}
	if c := m.Crypto; c != nil {
		add("encrypted", c.Encrypted)
		add("signed", c.Signed)
	}
	add("reply", len(m.References) > 0 || prefixed(m.Subject, replyMarks))
	add("forward", prefixed(m.Subject, forwardMarks))
	return out
}

// The marks that mail programs put before the subject, in lower case.
var (
	replyMarks   = []string{"re", "aw", "antw", "sv", "vs", "ref", "rif", "odp", "ynt", "回复", "答复"}
	forwardMarks = []string{"fwd", "fw", "wg", "tr", "rv", "enc", "doorst", "ilt", "转发"}
)

// prefixed reports whether subject begins with one of the marks and a colon,
// perhaps with a count between: "Re: ", "AW[2]:".
func prefixed(subject string, marks []string) bool {
	mark, _, ok := strings.Cut(strings.Replace(subject, "：", ":", 1), ":")
	if !ok || len(mark) > 16 {
		return false
	}
	mark = strings.TrimRight(strings.ToLower(strings.TrimSpace(mark)), "[]()0123456789 ")
	return slices.Contains(marks, mark)
}

func defectsOf(defects []mail.Defect) []string {
	var out []string
	for _, d := range defects {
		out = append(out, strings.ToLower(d.Code), string(d.Severity))
	}
	return out
}

func extractorsOf(parts []mail.Part) []string {
	var out []string
	for _, p := range parts {
		if e := p.Extractor; e != nil {
			out = append(out, e.Name, e.Name+"/"+strconv.Itoa(e.Version))
		}
	}
	return out
}
