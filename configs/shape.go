package configs

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A shape is what may stand at a key; shapes are read off Config once per Load,
// so that no second list of keys can disagree with the struct.
type shape struct {
	form     form
	typ      reflect.Type
	tag      reflect.StructTag
	names    []string          // of a section, in the order of the struct
	children map[string]*shape // of a section, by name
	elem     *shape            // of a table or a list
}

type form int

const (
	formValue   form = iota // a scalar
	formSection             // a mapping with fixed keys: a struct
	formTable               // a mapping with keys of the operator's choice
	formList
)

// shapeOf returns the shape of a type of Config.
func shapeOf(t reflect.Type, tag reflect.StructTag) *shape {
	s := &shape{typ: t, tag: tag}
	switch t.Kind() {
	case reflect.Struct:
		s.form = formSection
		s.children = make(map[string]*shape)
		for _, f := range reflect.VisibleFields(t) {
			name := f.Tag.Get("koanf")
			if name == "" || name == "-" {
				continue
			}
			s.names = append(s.names, name)
			s.children[name] = shapeOf(f.Type, f.Tag)
		}
	case reflect.Map:
		s.form, s.elem = formTable, shapeOf(t.Elem(), "")
	case reflect.Slice:
		s.form, s.elem = formList, shapeOf(t.Elem(), "")
	}
	return s
}

// values calls yield for each value with a fixed key: what environment, flags
// and defaults can set.
func (s *shape) values(key string, yield func(key string, s *shape)) {
	for _, name := range s.names {
		child := s.children[name]
		switch child.form {
		case formSection:
			child.values(join(key, name), yield)
		case formValue:
			yield(join(key, name), child)
		}
	}
}

// parse reads a value from its text. dir is what relative file names are
// relative to.
func (s *shape) parse(text, dir string) (any, *problem) {
	v := reflect.New(s.typ)
	if u, ok := v.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return nil, &problem{text: err.Error()}
		}
		return v.Elem().Interface(), nil
	}
	switch s.typ.Kind() {
	case reflect.Bool:
		return parseBool(text)
	case reflect.Int:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 32)
		if err != nil {
			return nil, &problem{text: quote(text) + " is not a whole number"}
		}
		return int(n), nil
	}
	return s.parseString(text, dir)
}

func parseBool(text string) (any, *problem) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return nil, &problem{text: quote(text) + " is neither true nor false"}
}

func (s *shape) parseString(text, dir string) (any, *problem) {
	if words := s.enum(); words != nil && !slices.Contains(words, text) {
		hint := ""
		if near := nearest(text, words); near != "" {
			hint = fmt.Sprintf("did you mean %s?", near)
		}
		return nil, &problem{quote(text) + " is not one of " + strings.Join(words, ", "), hint}
	}
	if strings.ContainsAny(text, "\x00\r\n") {
		return nil, &problem{text: "the value holds a line end or NUL"}
	}
	if s.tag.Get("kind") != "" && text != "" && !filepath.IsAbs(text) && dir != "" {
		text = filepath.Join(dir, text)
	}
	return text, nil
}

func (s *shape) enum() []string {
	if e := s.tag.Get("enum"); e != "" {
		return strings.Split(e, ",")
	}
	return nil
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func either(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// nearest returns the word that text most likely stands for, or "": the one
// with the least edits, if those are few for its length.
func nearest(text string, words []string) string {
	best, least := "", 1+min(len(text)/3, 3)
	for _, w := range words {
		if len(w) > 2 && strings.HasPrefix(strings.ToLower(text), w) {
			return w
		}
		if d := edits(strings.ToLower(text), w); d < least || d == least && best == "" && d == 1 {
			best, least = w, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two short strings, in octets.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
