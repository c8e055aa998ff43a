package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/parser/envelope"
)

// InspectOptions say how to read a message that is in no archive.
type InspectOptions struct {
	// Journal reads it as mail of a mailbox that receives journal reports.
	Journal bool
	// Documents reads the texts of attached documents too, in a worker process.
	Documents bool
}

// Inspect reads the first size octets of r as the indexer would, without an
// archive or a configuration. A message comes without an error, however broken
// it is.
func Inspect(ctx context.Context, r io.ReaderAt, size int64, o InspectOptions) (m *mail.Message, err error) {
	m, err = envelope.Read(r, size, parser.DefaultLimits(), envelope.Rules{Journal: o.Journal})
	if err != nil || !o.Documents {
		return m, err
	}
	c, err := configs.Load(configs.Sources{SkipSecrets: true})
	if err != nil {
		return nil, err
	}
	if c.Extract.CacheDir, err = os.MkdirTemp("", "mailkeep-parse-"); err != nil {
		return nil, fmt.Errorf("make a directory for the extractors: %w", err)
	}
	x := newTexts(c, slog.New(slog.DiscardHandler), nil)
	defer func() { err = errors.Join(err, x.Close(), os.RemoveAll(c.Extract.CacheDir)) }()
	return m, x.add(ctx, m, r)
}
