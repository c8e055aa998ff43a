package extract

import "github.com/mailkeep/mailkeep/mail"

// versions are those of the readers. A reader whose text changes for the same
// octets gets the next number. Kinds that have no reader here are left out.
var versions = map[Kind]int{
	Plain: 1, HTML: 1, XML: 1, Calendar: 1, Card: 1,
	DOCX: 1, XLSX: 1, PPTX: 1, ODF: 1,
	DOC: 1, XLS: 1, PPT: 1, RTF: 1,
	Mail: 1, SMIME: 1, MSG: 1, TNEF: 1,
	ZIP: 1, SevenZip: 1, RAR: 1, Tar: 1, Gzip: 1, Bzip2: 1, XZ: 1, OLE: 1,
}

// Current returns the extractor that Text uses now for documents of a kind; of
// a kind that has none in this package the version is 0.
func Current(k Kind) mail.Extractor {
	return mail.Extractor{Name: string(k), Version: versions[k]}
}

// Outdated reports whether e is a reader of this package of an older version,
// so that its texts are worth making again.
func Outdated(e mail.Extractor) bool {
	v, ok := versions[Kind(e.Name)]
	return ok && e.Version < v
}
