package extract

import (
	"mime"
	"strings"

	"github.com/mailkeep/mailkeep/parser/charset"
	"github.com/mailkeep/mailkeep/parser/readable"
)

// label returns the charset that the document's type declares, or "".
func (r *reading) label() string {
	_, params, err := mime.ParseMediaType(r.doc.Type)
	if err != nil {
		return ""
	}
	return params["charset"]
}

// decode returns the document in UTF-8, in the charset of the label. It reads no
// more of it than could be kept with room to spare for markup.
func (r *reading) decode(label string) (text string, cut bool) {
	b := r.doc.Data
	if most := 4 * r.lim.Text; len(b) > most {
		b, cut = b[:most], true
	}
	return charset.Decode(b, label).Text, cut
}

func (r *reading) plain() error {
	text, cut := r.decode(r.label())
	r.out.write(text)
	r.out.cut = r.out.cut || cut
	if strings.Contains(text, "-----BEGIN PGP MESSAGE-----") {
		return errEncrypted
	}
	return nil
}

func (r *reading) html() error {
	label := r.label()
	if charset.Label(label) == "" || charset.Label(label) == charset.ASCII {
		if meta := readable.MetaCharset(r.doc.Data); meta != "" {
			label = meta
		}
	}
	text, cut := r.decode(label)
	text, more := readable.HTML([]byte(text), r.out.room())
	r.out.write(text)
	r.out.cut = r.out.cut || cut || more
	return nil
}
