package extract

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// An opc is an office file as a package of parts (ECMA-376 part 2): the entries
// of a ZIP archive by their names, which are compared without case.
type opc struct {
	*reading
	c     *container
	parts map[string]*zipEntry
	names []string // in order of the directory, lower case
	done  map[string]bool
}

// zipped reads a ZIP archive: an office file by what is in it, else its files.
func (r *reading) zipped() error {
	entries, more := zipEntries(r.doc.Data, r.entries)
	if len(entries) == 0 {
		if len(r.doc.Data) == 22 && strings.HasPrefix(string(r.doc.Data), zipEnd) {
			r.kind = ZIP // of nothing
			return nil
		}
		return fmt.Errorf("no entries found in the ZIP archive")
	}
	p := &opc{reading: r, c: r.container(), parts: make(map[string]*zipEntry), done: make(map[string]bool)}
	for i, e := range entries {
		name := strings.ToLower(e.name)
		if _, twice := p.parts[name]; !twice {
			p.names = append(p.names, name)
		}
		p.parts[name] = &entries[i]
	}
	read := p.format()
	if read == nil {
		r.kind = ZIP
		return r.zipArchive(entries, more, p.c)
	}
	err := read(p)
	if err == nil && more {
		err = fmt.Errorf("too many entries: %w", errLimit)
	}
	return err
}

// format tells the office format by the parts, sets the kind and returns its
// reader, or nil.
func (p *opc) format() func(*opc) error {
	switch {
	case p.has("content.xml") && (p.has("mimetype") || p.has("meta-inf/manifest.xml")):
		p.kind = ODF
		return (*opc).odf
	case p.has("[content_types].xml") || p.has("_rels/.rels") || p.kind != ZIP:
		switch {
		case p.under("word/"):
			p.kind = DOCX
			return (*opc).docx
		case p.under("xl/"):
			p.kind = XLSX
			return (*opc).xlsx
		case p.under("ppt/"):
			p.kind = PPTX
			return (*opc).pptx
		}
	}
	return nil
}

func (p *opc) has(name string) bool { return p.parts[name] != nil }

func (p *opc) under(folder string) bool {
	return slices.ContainsFunc(p.names, func(n string) bool { return strings.HasPrefix(n, folder) })
}

// match returns the parts whose names fit the pattern, by the numbers in them,
// so that slide10 comes after slide2.
func (p *opc) match(pattern string) []string {
	var found []string
	for _, n := range p.names {
		if ok, _ := path.Match(pattern, n); ok {
			found = append(found, n)
		}
	}
	slices.SortStableFunc(found, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return found
}

// part walks the tokens of a part once, however often it is asked for. A fault
// in one part does not keep the others from being read: it is the document's.
func (p *opc) part(name string, f func(*xmlReader) error) error {
	name = strings.ToLower(name)
	e := p.parts[name]
	if e == nil || p.done[name] {
		return nil
	}
	p.done[name] = true
	m, err := p.c.open(*e)
	if err != nil {
		return p.broken(name, err)
	}
	if err := f(newXMLReader(m)); err != nil {
		return p.broken(name, err)
	}
	return nil
}

// broken notes a fault in a part. It returns an error where reading on is
// useless.
func (p *opc) broken(name string, err error) error {
	if stop := p.ended(); stop != nil {
		return stop
	}
	if stop := p.full(); stop != nil {
		return stop
	}
	if p.unpacked <= 0 {
		return err
	}
	status := statusOf(err)
	if status == "failed" {
		status = "truncated"
	}
	p.mark(name, status, err.Error())
	return nil
}

// each reads all parts that fit one of the patterns.
func (p *opc) each(f func(*xmlReader) error, patterns ...string) error {
	for _, pattern := range patterns {
		for _, name := range p.match(pattern) {
			p.out.owe(paraGap)
			if err := p.part(name, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// A link is a relationship of a part (ECMA-376 part 2 section 9.3).
type link struct{ id, kind, target string }

// links returns the relationships of a part; kind is the last word of the type,
// target the full name of a part inside, lower case.
func (p *opc) links(name string) (all []link) {
	dir, file := path.Split(strings.ToLower(name))
	rels := dir + "_rels/" + file + ".rels"
	_ = p.part(rels, func(x *xmlReader) error {
		return x.walk(func(t token) error {
			if t != startToken || x.name != "Relationship" || x.get("TargetMode") == "External" || len(all) >= p.lim.Entries {
				return nil
			}
			target := strings.ToLower(x.get("Target"))
			if !strings.HasPrefix(target, "/") {
				target = path.Join("/", dir, target)
			}
			all = append(all, link{x.get("Id"), path.Base(x.get("Type")), strings.TrimPrefix(path.Clean(target), "/")})
			return nil
		})
	})
	return all
}

// main returns the main part, by the package's relationships or by the name it
// usually has.
func (p *opc) main(usual string) string {
	for _, l := range p.links("") {
		if l.kind == "officeDocument" && p.has(l.target) {
			return l.target
		}
	}
	return usual
}

// properties adds what the author said of the document: title, subject and such.
func (p *opc) properties(parts ...string) error {
	for _, name := range parts {
		if err := p.part(name, p.propertyTokens); err != nil {
			return err
		}
	}
	return nil
}

func (p *opc) propertyTokens(x *xmlReader) error {
	take := false
	return x.walk(func(t token) error {
		switch t {
		case startToken:
			take = isProperty(x.name)
			p.out.owe(lineGap)
		case endToken:
			take = false
			p.out.owe(lineGap)
		case textToken:
			if take {
				p.out.words(x.text)
			}
		}
		return p.full()
	})
}

func isProperty(name string) bool {
	switch name {
	case "title", "subject", "description", "keywords", "keyword", "creator", "initial-creator", "category", "user-defined", "lpwstr":
		return true
	}
	return false
}

// embeddings reads the documents inside.
func (p *opc) embeddings(folder string) error {
	for _, name := range p.match(folder + "*") {
		if err := p.embedding(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *opc) embedding(name string) error {
	if p.done[name] || strings.HasSuffix(name, ".rels") {
		return nil
	}
	p.done[name] = true
	m, err := p.c.open(*p.parts[name])
	if err != nil {
		return p.broken(name, err)
	}
	return p.embedPacked(path.Base(name), m)
}
