package extract

// reader returns the function that reads documents of the kind.
func (r *reading) reader() func(*reading) error {
	switch r.kind {
	case Plain:
		return (*reading).plain
	case HTML:
		return (*reading).html
	case XML:
		return (*reading).xml
	case ZIP, DOCX, XLSX, PPTX:
		return (*reading).zipped
	case ODF:
		return (*reading).openDocument
	case OLE, MSG, PPT:
		return (*reading).ole
	case DOC:
		return (*reading).wordBare
	case XLS:
		return (*reading).workbookBare
	case RTF:
		return (*reading).rtf
	case Calendar, Card:
		return (*reading).card
	case Mail:
		return (*reading).mail
	case SMIME:
		return (*reading).smime
	case TNEF:
		return (*reading).tnef
	case SevenZip:
		return (*reading).sevenZip
	case RAR:
		return (*reading).rar
	case Tar:
		return (*reading).tar
	case Gzip:
		return (*reading).gzip
	case Bzip2:
		return (*reading).bzip2
	case XZ:
		return (*reading).xz
	case PDF:
		return func(r *reading) error { return r.tool(r.pdf, errUnsupported) }
	case Image:
		return func(r *reading) error { return r.tool(r.image, errNoText) }
	case Binary:
		return func(*reading) error { return errNoText }
	}
	return func(*reading) error { return errUnsupported }
}
