package tlog

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mailkeep/mailkeep/mail"
)

// RootOf is the root over leaves, without tiles.
func RootOf(ctx context.Context, src Leaves, size uint64) (mail.Digest, error) {
	f := &frontier{}
	for leaf, err := range src.Leaves(ctx, 0, size) {
		if err != nil {
			return mail.Digest{}, err
		}
		if err := f.add(leaf, func(tlog.Tile, []byte) error { return nil }); err != nil {
			return mail.Digest{}, err
		}
	}
	return f.root()
}
