package configs

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// mailboxesKey is what stands for "mailboxes" in the keys of entries that come
// from the mailboxes file.
const mailboxesKey = "mailboxes_file"

// mailboxesFile appends the entries of the mailboxes file, and gives each entry
// its key.
func (l *loading) mailboxesFile(c *Config) {
	for i := range c.Mailboxes {
		c.Mailboxes[i].key = fmt.Sprintf("mailboxes[%d]", i)
	}
	if c.MailboxesFile == "" {
		return
	}
	d := l.newDocument(c.MailboxesFile)
	entries := d.mailboxes(l.shape.children["mailboxes"])
	for i, e := range entries {
		m, err := decodeMailbox(e)
		if err != nil {
			d.fault(0, "", problem{text: "cannot be decoded: " + clip(err.Error())})
			return
		}
		m.key = fmt.Sprintf("%s[%d]", mailboxesKey, i)
		c.Mailboxes = append(c.Mailboxes, m)
	}
}

func decodeMailbox(entry any) (Mailbox, error) {
	var m Mailbox
	dec, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &m, TagName: "koanf", ErrorUnused: true})
	if err != nil {
		return m, err
	}
	return m, dec.Decode(entry)
}

// mailboxes reads the document as CSV or YAML by its extension.
func (d *document) mailboxes(s *shape) []any {
	switch ext := strings.ToLower(filepath.Ext(d.name)); ext {
	case ".csv":
		return d.csv(s.elem)
	case ".yaml", ".yml":
		root := d.read()
		if root == nil {
			return nil
		}
		got, _ := d.value(root, s, mailboxesKey).([]any)
		return got
	}
	d.fault(0, "", problem{"is neither CSV nor YAML", "give it a name that ends in .csv or .yaml"})
	return nil
}

// csv reads rows under a line of keys (RFC 4180). Empty cells are unset.
func (d *document) csv(s *shape) []any {
	b, p := readFile(d.name)
	if p != nil {
		d.fault(0, "", *p)
		return nil
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(b), "\ufeff")))
	r.TrimLeadingSpace = true
	r.Comment = '#'
	head, err := r.Read()
	if err != nil {
		d.csvSyntax(err)
		return nil
	}
	head = slices.Clone(head)
	if !d.csvHead(head, s) {
		return nil
	}
	var out []any
	for {
		row, err := r.Read()
		if err == io.EOF {
			return out
		}
		if err != nil {
			d.csvSyntax(err)
			return out
		}
		out = append(out, d.csvRow(r, head, row, s, len(out)))
	}
}

// csvHead checks the line of keys.
func (d *document) csvHead(head []string, s *shape) bool {
	ok := true
	for i, name := range head {
		head[i] = strings.TrimSpace(name)
		switch {
		case s.children[head[i]] == nil:
			d.fault(1, clip(head[i]), unknownKey(head[i], s))
			ok = false
		case s.children[head[i]].form != formValue:
			d.fault(1, head[i], problem{"is more than a cell can hold", "set it in a YAML file"})
			ok = false
		case slices.Contains(head[:i], head[i]):
			d.fault(1, head[i], problem{"is a column twice", "remove one of them"})
			ok = false
		}
	}
	return ok
}

func (d *document) csvRow(r *csv.Reader, head, row []string, s *shape, index int) map[string]any {
	key := fmt.Sprintf("%s[%d]", mailboxesKey, index)
	first, _ := r.FieldPos(0)
	d.origins[key] = place{fmt.Sprintf("%s:%d", d.name, first), first}
	out := make(map[string]any, len(head))
	for i, name := range head {
		text := strings.TrimSpace(row[i])
		if text == "" {
			continue
		}
		full := join(key, name)
		line, _ := r.FieldPos(i)
		d.origins[full] = place{fmt.Sprintf("%s:%d", d.name, line), line}
		v, p := s.children[name].parse(text, d.dir)
		if p != nil {
			d.fault(line, full, *p)
			continue
		}
		out[name] = v
	}
	return out
}

func (d *document) csvSyntax(err error) {
	if err == io.EOF {
		d.fault(0, "", problem{"is empty", "write a first line with keys, such as name,host,password_file"})
		return
	}
	pe, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		d.fault(0, "", problem{text: "is not CSV: " + clip(err.Error())})
		return
	}
	p := problem{text: "is not CSV: " + pe.Err.Error()}
	if errors.Is(err, csv.ErrFieldCount) {
		p = problem{"has not as many cells as the first line has keys", "add or remove commas"}
	}
	d.fault(pe.Line, "", p)
}
