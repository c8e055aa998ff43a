package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/mod/semver"
)

// A manifest says how the store beside it was written. A server that opens a
// store with the wrong settings starts without complaint and loses what is in
// it, so this is checked first.
type manifest struct {
	Format        int       `json:"format"`
	Encrypted     bool      `json:"encrypted"`
	ServerVersion string    `json:"server_version"` // the newest that wrote here
	Created       time.Time `json:"created"`
}

const (
	manifestName   = "store.json"
	manifestFormat = 1
)

// checkManifest refuses a store that this process would not read correctly and
// writes the manifest of a new one. The file needs no fsync: one that a crash
// left unreadable says nothing, and is written again.
func checkManifest(dir string, log *slog.Logger) error {
	path := filepath.Join(dir, manifestName)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the manifest of the store: %w", err)
	}
	m := manifest{Format: manifestFormat, Created: time.Now().UTC()}
	if err == nil {
		if err := json.Unmarshal(text, &m); err != nil {
			log.Warn("manifest of the NATS store is unreadable and is written again", slog.Any("error", err))
			m = manifest{Format: manifestFormat, Created: time.Now().UTC()}
		}
	}
	if err := m.check(server.VERSION); err != nil {
		return mail.WithHint(err, "use the newer mailkeep, or remove %s: all mail that is not sealed is still on its server", dir)
	}
	if m.ServerVersion == server.VERSION {
		return nil
	}
	m.ServerVersion = server.VERSION
	return m.write(path)
}

func (m manifest) check(version string) error {
	switch {
	case m.Format != manifestFormat:
		return mail.Errorf(mail.Invalid, "the NATS store has format %d, this program knows %d", m.Format, manifestFormat)
	case m.Encrypted:
		return mail.Errorf(mail.Invalid, "the NATS store is encrypted and this program has no key for it")
	case m.ServerVersion == "":
		return nil
	case semver.Compare(semver.MajorMinor("v"+m.ServerVersion), semver.MajorMinor("v"+version)) > 0:
		return mail.Errorf(mail.Invalid, "the NATS store was written by server %s, this is %s", m.ServerVersion, version)
	}
	return nil
}

func (m manifest) write(path string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the manifest of the store: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the manifest of the store: %w", err)
	}
	return nil
}
