package envelope_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

// TestCorpus reads a corpus of mail as if all of it were journaled: no mail may
// cost anything by it, and reports of other people's making are understood.
func TestCorpus(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..", "shared", "corpus")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the mail corpus is missing in CI: %v", err)
		}
		t.Logf("no mail corpus at %s: only the fixtures of testdata are tested", root)
		return
	}
	rules := envelope.Rules{Journal: true, Header: "Delivered-To", ReceivedBy: []string{".org", ".com", ".net"}}
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(name) != ".eml" {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil || len(b) > 1<<20 {
			return err
		}
		m := read(t, b, rules)
		checkParts(t, name, b, m)
		if strings.HasPrefix(filepath.Base(name), "journal-") {
			checkCarol(t, name, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkParts(t *testing.T, name string, b []byte, m *mail.Message) {
	t.Helper()
	for _, p := range m.Parts {
		if p.OffHeader < 0 || p.OffBody < p.OffHeader || p.OffBody+p.Len > int64(len(b)) {
			t.Errorf("%s: part %s lies at %d-%d-%d of %d octets", name, p.Path, p.OffHeader, p.OffBody, p.OffBody+p.Len, len(b))
		}
	}
}

// checkCarol looks into reports about one message, whose blind copy went to Carol.
func checkCarol(t *testing.T, name string, m *mail.Message) {
	t.Helper()
	if m.Envelope == nil || m.MessageID != "orig-1@contoso.com" || m.Text != "secret numbers" || len(m.Envelope.Recipients) != 4 {
		t.Errorf("%s: %q, text %q, %+v", name, m.MessageID, m.Text, m.Envelope)
		return
	}
	if !slices.Contains(m.Envelope.Recipients, mail.Recipient{Role: "bcc", Addr: "carol@contoso.com"}) {
		t.Errorf("%s: %+v", name, m.Envelope.Recipients)
	}
	if strings.Contains(name, "o365") && m.Envelope.OnBehalfOf != "boss@contoso.com" {
		t.Errorf("%s: on behalf of %q", name, m.Envelope.OnBehalfOf)
	}
}
