package configs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file: 16 MiB is some hundred thousand mailboxes.
const maxFile = 16 << 20

// A place is where the value of a key was written.
type place struct {
	where string
	line  int
}

// origins maps full keys to their places.
type origins map[string]place

// of returns the place of key or of what encloses it; "default" if no source
// sets any of them.
func (o origins) of(key string) place {
	for key != "" {
		if p, ok := o[key]; ok {
			return p
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return place{where: "default"}
}

// A document reads one file against a shape. Values come out parsed; faults and
// places are recorded on the way.
type document struct {
	name    string // as it was given
	dir     string
	origins origins
	faults  *Faults
	broken  map[string]bool // keys that have a fault
}

// readFile reads the file, at most maxFile octets of it.
func readFile(name string) ([]byte, *problem) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &problem{"cannot be read: " + cause(err), "check the name and the permissions"}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, &problem{text: "cannot be read: " + cause(err)}
	}
	if len(b) > maxFile {
		return nil, &problem{text: fmt.Sprintf("is larger than %s", Size(maxFile))}
	}
	return b, nil
}

// cause returns the system's words for a failed file operation, without the
// path, which the fault names itself.
func cause(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}

// newDocument returns a document for the file; name is what faults print.
func (l *loading) newDocument(name string) *document {
	return &document{name: name, dir: filepath.Dir(name), origins: l.origins, faults: &l.faults, broken: l.broken}
}

// fault records a fault at a line; 0 is the file as a whole.
func (d *document) fault(line int, key string, p problem) {
	where := d.name
	if line > 0 {
		where = fmt.Sprintf("%s:%d", d.name, line)
	}
	d.broken[key] = true
	*d.faults = append(*d.faults, Fault{Where: where, Key: key, Problem: p.text, Hint: p.hint, line: line})
}

// parseYAML returns the root node of the only document in b, or nil if there is
// none or if b is faulty.
func (d *document) parseYAML(b []byte) *yaml.Node {
	var root yaml.Node
	if err := yaml.Unmarshal(b, &root); err != nil {
		d.syntax(err)
		return nil
	}
	// Decoding into a plain value is what refuses cyclic and exploding aliases;
	// the walk below may then follow them.
	var plain any
	if err := root.Decode(&plain); err != nil {
		d.syntax(err)
		return nil
	}
	if len(root.Content) == 0 || isNull(root.Content[0]) {
		return nil
	}
	return root.Content[0]
}

// syntax records the faults of a YAML error, which carry lines in their text.
func (d *document) syntax(err error) {
	texts := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if te, ok := errors.AsType[*yaml.TypeError](err); ok {
		texts = te.Errors
	}
	for _, text := range texts {
		line := 0
		if n, _ := fmt.Sscanf(text, "line %d:", &line); n == 1 {
			_, text, _ = strings.Cut(text, ": ")
		}
		p := problem{text: "is not YAML: " + clip(text)}
		if strings.Contains(text, "cannot start any token") {
			p.hint = "indent with spaces, and quote values that start with a special character"
		}
		d.fault(line, "", p)
	}
}

// value reads the node at key against its shape; nil if it is unset or faulty.
func (d *document) value(n *yaml.Node, s *shape, key string) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if isNull(n) {
		return nil
	}
	d.origins[key] = place{fmt.Sprintf("%s:%d", d.name, n.Line), n.Line}
	switch {
	case s.form == formValue && n.Kind == yaml.ScalarNode:
		v, p := s.parse(n.Value, d.dir)
		if p != nil {
			d.fault(n.Line, key, *p)
			return nil
		}
		return v
	case s.form == formSection && n.Kind == yaml.MappingNode:
		return d.section(n, s, key)
	case s.form == formTable && n.Kind == yaml.MappingNode:
		return d.table(n, s, key)
	case s.form == formList && n.Kind == yaml.SequenceNode:
		return d.list(n, s, key)
	}
	d.fault(n.Line, key, problem{text: fmt.Sprintf("must be %s, not %s", s.form, kindName(n.Kind))})
	return nil
}

// section reads a mapping with fixed keys. Repeated keys are refused by the
// decoder.
func (d *document) section(n *yaml.Node, s *shape, key string) map[string]any {
	out := make(map[string]any, len(n.Content)/2)
	for k, v := range pairs(n) {
		if k.Tag == "!!merge" {
			d.merge(v, s, key, out)
			continue
		}
		full := join(key, k.Value)
		child := s.children[k.Value]
		if child == nil {
			d.fault(k.Line, full, unknownKey(k.Value, s))
			continue
		}
		if got := d.value(v, child, full); got != nil {
			out[k.Value] = got
		}
	}
	return out
}

// merge reads the value of a merge key ("<<: *name"): what it holds stands
// behind what the mapping says itself.
func (d *document) merge(n *yaml.Node, s *shape, key string, out map[string]any) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	for _, n := range nodes {
		got, _ := d.value(n, s, key).(map[string]any)
		for k, v := range got {
			if _, set := out[k]; !set {
				out[k] = v
			}
		}
	}
}

// table reads a mapping whose keys are names of the operator's choice.
func (d *document) table(n *yaml.Node, s *shape, key string) map[string]any {
	out := make(map[string]any, len(n.Content)/2)
	for k, v := range pairs(n) {
		full := join(key, clip(k.Value))
		if p := checkName(k.Value); p != nil || k.Kind != yaml.ScalarNode {
			d.fault(k.Line, full, problem{"is not a usable name", "write printable characters without spaces at the ends"})
			continue
		}
		if got := d.value(v, s.elem, full); got != nil {
			out[k.Value] = got
		}
	}
	return out
}

// list reads a sequence. A faulty entry keeps its place, so that the index of
// an entry is the same in faults and in the configuration.
func (d *document) list(n *yaml.Node, s *shape, key string) []any {
	out := make([]any, len(n.Content))
	for i, v := range n.Content {
		full := fmt.Sprintf("%s[%d]", key, i)
		got := d.value(v, s.elem, full)
		if got == nil {
			if !d.broken[full] {
				d.fault(v.Line, full, problem{"is empty", "remove it"})
			}
			got = map[string]any{}
		}
		out[i] = got
	}
	return out
}

// pairs iterates over the keys and values of a mapping.
func pairs(n *yaml.Node) func(func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// unknownKey says what to do about a key that does not exist; a password gets
// its own answer.
func unknownKey(name string, s *shape) problem {
	switch strings.ToLower(name) {
	case "client_secret", "refresh_token", "proxy_password":
		return problem{"a secret must not stand in the configuration",
			fmt.Sprintf("put it into a file or an environment variable and name that in %[1]s_file or %[1]s_env", strings.ToLower(name))}
	case "password", "pass", "passwd", "secret":
		return problem{"a password must not stand in the configuration",
			"put it into a file or an environment variable and name that in password_file or password_env"}
	}
	p := problem{text: "no such key"}
	if near := nearest(name, s.names); near != "" {
		p.hint = fmt.Sprintf("did you mean %s?", near)
	} else {
		p.hint = "the keys here are " + either(s.names)
	}
	return p
}

// String returns the form as messages name it.
func (f form) String() string {
	return [...]string{"a single value", "a mapping of keys", "a mapping of names", "a list"}[f]
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "a single value"
}
