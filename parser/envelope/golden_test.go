package envelope_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

var update = flag.Bool("update", false, "rewrite the golden files of testdata")

func read(t *testing.T, b []byte, rules envelope.Rules) *mail.Message {
	t.Helper()
	m, err := envelope.Read(bytes.NewReader(b), int64(len(b)), parser.DefaultLimits(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A view is of a message what this package decides.
type view struct {
	Subject   string         `json:"subject"`
	From      string         `json:"from"`
	To        string         `json:"to"`
	MessageID string         `json:"message_id"`
	Text      string         `json:"text"`
	Envelope  *mail.Envelope `json:"envelope"`
	Parts     []partView     `json:"parts"`
	Defects   []string       `json:"defects"`
}

type partView struct {
	Path string    `json:"path"`
	Type string    `json:"type"`
	Role mail.Role `json:"role"`
	Text string    `json:"text,omitempty"`
}

func viewOf(m *mail.Message) view {
	v := view{Subject: m.Subject, From: joined(m.From), To: joined(m.To), MessageID: m.MessageID, Text: m.Text, Envelope: m.Envelope}
	for _, p := range m.Parts {
		v.Parts = append(v.Parts, partView{p.Path, p.Type, p.Role, p.Text})
	}
	for _, d := range m.Defects {
		if !strings.HasPrefix(d.Code, "JOURNAL_") && !strings.HasPrefix(d.Code, "ENVELOPE_") {
			continue // the parser's
		}
		v.Defects = append(v.Defects, strings.TrimSpace(d.Code+" "+d.Part+" "+d.Detail))
	}
	return v
}

func joined(list []mail.Address) string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

// TestGolden reads the fixtures as mail of a journaling mailbox.
func TestGolden(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(viewOf(read(t, b, envelope.Rules{Journal: true})), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		golden := strings.TrimSuffix(name, ".eml") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Errorf("%v (make it with -update)", err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: (-want +got)\n%s", name, cmp.Diff(string(want), string(got)))
		}
	}
}
