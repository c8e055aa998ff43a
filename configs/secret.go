package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/mailkeep/mailkeep/mail"
)

// hidden is all that a Secret ever prints.
const hidden = "[hidden]"

// maxSecret bounds what is read from a secret's file; no password is longer.
const maxSecret = 64 << 10

// A Secret says where a password is kept. It holds no password: Reveal reads
// it when it is needed, so that a rotated file takes effect without a restart
// and a dump of the configuration cannot leak it.
type Secret struct {
	file   string
	env    string
	lookup func(string) (string, bool)
}

// SecretFile returns the secret kept in a file.
func SecretFile(path string) Secret { return Secret{file: path} }

// SecretEnv returns the secret kept in an environment variable; lookup is
// os.LookupEnv or stands in for it.
func SecretEnv(name string, lookup func(string) (string, bool)) Secret {
	return Secret{env: name, lookup: lookup}
}

// IsZero reports whether s refers to nothing.
func (s Secret) IsZero() bool { return s.file == "" && s.env == "" }

// Source names where the secret is kept, for messages: "file /run/secrets/x".
func (s Secret) Source() string {
	switch {
	case s.file != "":
		return "file " + s.file
	case s.env != "":
		return "environment variable " + s.env
	}
	return "nowhere"
}

// Reveal reads the secret. One trailing line end is not part of it. Errors are
// of the kinds mail.NotFound, mail.Denied and mail.Invalid (empty, too long).
func (s Secret) Reveal() (string, error) {
	switch {
	case s.file != "":
		return s.fromFile()
	case s.env != "":
		v, ok := s.lookup(s.env)
		if !ok {
			return "", mail.Errorf(mail.NotFound, "secret: %s is not set", s.Source())
		}
		return s.checked([]byte(v))
	}
	return "", mail.Errorf(mail.Invalid, "secret: no file and no environment variable is named")
}

func (s Secret) fromFile() (string, error) {
	f, err := os.Open(s.file)
	if err != nil {
		return "", mail.Errorf(secretKind(err), "secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", mail.Errorf(mail.Temporary, "secret: %w", err)
	}
	return s.checked(b)
}

func (s Secret) checked(b []byte) (string, error) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	switch {
	case len(b) == 0:
		return "", mail.Errorf(mail.Invalid, "secret: %s is empty", s.Source())
	case len(b) > maxSecret:
		return "", mail.Errorf(mail.Invalid, "secret: %s is longer than %d octets", s.Source(), maxSecret)
	case bytes.ContainsAny(b, "\r\n\x00"):
		// A line end would end the PASS command and start another (RFC 1939 section 3).
		return "", mail.Errorf(mail.Invalid, "secret: %s holds more than one line", s.Source())
	}
	return string(b), nil
}

func secretKind(err error) mail.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return mail.NotFound
	case errors.Is(err, fs.ErrPermission):
		return mail.Denied
	}
	return mail.Temporary
}

// String returns "[hidden]".
func (s Secret) String() string { return hidden }

// GoString returns "[hidden]", for %#v.
func (s Secret) GoString() string { return hidden }

// Format writes "[hidden]" for every verb, %+v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText implements encoding.TextMarshaler and returns "[hidden]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue implements slog.LogValuer and returns "[hidden]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
