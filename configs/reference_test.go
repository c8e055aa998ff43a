package configs

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestReference prints the reference from the comments of Config and compares
// it with reference.yaml.
func TestReference(t *testing.T) {
	docs := fieldDocs(t)
	var b strings.Builder
	b.WriteString("# All keys of mailkeep's configuration, with their defaults. This file is printed\n" +
		"# by \"mailkeep config reference\"; as it stands it changes nothing.\n" +
		"# Durations: 90s, 15m, 1h30m, 30d. Sizes: 500k, 64MiB, 1GB.\n")
	printSection(&b, docs, reflect.TypeFor[Config](), "", "")
	golden(t, "reference.yaml", b.String())
}

// TestReferenceChangesNothing proves that what is printed is a configuration.
func TestReferenceChangesNothing(t *testing.T) {
	got, err := Load(Sources{File: "reference.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Load(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	got.File = ""
	want.Archive.Dir = filepath.Clean(want.Archive.Dir) // the file stands in the working directory
	if d := cmp.Diff(want, got, cmp.FilterPath(unexported, cmp.Ignore())); d != "" {
		t.Errorf("the reference is not the defaults:\n%s", d)
	}
}

func unexported(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && !token.IsExported(f.Name())
}

// printSection prints the keys of a struct. Optional entries, those without a
// place in a configuration that sets nothing, are printed behind "# ".
func printSection(b *strings.Builder, docs map[string]string, t reflect.Type, indent, comment string) {
	for _, f := range reflect.VisibleFields(t) {
		name := f.Tag.Get("koanf")
		if name == "" || name == "-" {
			continue
		}
		b.WriteByte('\n')
		for line := range strings.Lines(docs[t.Name()+"."+f.Name]) {
			b.WriteString(indent + comment + "# " + strings.TrimSpace(line) + "\n")
		}
		switch f.Type.Kind() {
		case reflect.Struct:
			b.WriteString(indent + name + ":\n")
			printSection(b, docs, f.Type, indent+"  ", comment)
		case reflect.Map:
			b.WriteString(indent + "# " + name + ":\n" + indent + "#   example:\n")
			printSection(b, docs, f.Type.Elem(), indent+"#     ", "")
		case reflect.Slice:
			b.WriteString(indent + "# " + name + ":\n" + indent + "#   -\n")
			printSection(b, docs, f.Type.Elem(), indent+"#     ", "")
		default:
			b.WriteString(indent + comment + "# " + typeText(f) + "\n" + indent + valueText(f) + "\n")
		}
	}
}

func typeText(f reflect.StructField) string {
	if e := f.Tag.Get("enum"); e != "" {
		return "One of: " + strings.ReplaceAll(e, ",", ", ") + "."
	}
	switch {
	case f.Tag.Get("kind") == "path":
		return "Type: file name."
	case f.Tag.Get("kind") == "dir":
		return "Type: directory."
	case f.Type == reflect.TypeFor[Size]():
		return "Type: size."
	case f.Type == reflect.TypeFor[Duration]():
		return "Type: duration."
	}
	return map[reflect.Kind]string{reflect.String: "Type: text.", reflect.Int: "Type: whole number.", reflect.Bool: "Type: true or false."}[f.Type.Kind()]
}

func valueText(f reflect.StructField) string {
	v := f.Tag.Get("default")
	if v == "" && f.Type.Kind() == reflect.Bool {
		v = "false"
	}
	return strings.TrimRight(f.Tag.Get("koanf")+": "+v, " ")
}

// fieldDocs returns the comments of the fields of config.go by "Type.Field".
func fieldDocs(t *testing.T) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	for _, name := range []string{"config.go", "store.go", "keeping.go", "backup.go", "extract.go", "envelope.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		collectDocs(t, file, docs)
	}
	return docs
}

func collectDocs(t *testing.T, file *ast.File, docs map[string]string) {
	t.Helper()
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			for _, name := range f.Names {
				doc := strings.TrimSpace(f.Doc.Text())
				if name.IsExported() && doc == "" {
					t.Errorf("%s.%s has no comment", spec.Name, name)
				}
				docs[spec.Name.Name+"."+name.Name] = doc
			}
		}
		return false
	})
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs; if that is meant, run go test -update:\n%s", filepath.Base(name), d)
	}
}
