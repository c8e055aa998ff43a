package extract

// smime reads the message that a signed S/MIME object wraps, its attachments too.
func (r *reading) smime() error {
	if r.open == nil {
		return errUnsupported
	}
	content, encrypted := r.open(r.doc.Data)
	switch {
	case encrypted:
		return errEncrypted
	case len(content) == 0:
		return errUnsupported // compressed, or certificates alone
	}
	r.doc.Data = content
	return r.mail()
}
