package extract

// reader returns the function that reads documents of the kind.
func (r *reading) reader() func(*reading) error {
	switch r.kind {
	case Plain:
		return (*reading).plain
	case HTML:
		return (*reading).html
	case PDF:
		return func(r *reading) error { return r.tool(r.tools.PDF, errUnsupported) }
	case Image:
		return func(r *reading) error { return r.tool(r.tools.Image, errNoText) }
	case Binary:
		return func(*reading) error { return errNoText }
	}
	return func(*reading) error { return errUnsupported }
}
