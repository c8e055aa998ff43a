package app

import (
	"context"
	"fmt"
	"io"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/sink/keys"
)

// A keySource is where the keys of an archive are kept, and who gets copies of
// them.
type keySource struct {
	keys.Wrapper                  // nil: the archive is not to be encrypted
	escrow       *keys.Recipients // nil: nobody
	closer       io.Closer
}

// openKeySource returns the key source that the configuration names.
func openKeySource(c *configs.Config) (keySource, error) {
	e, on := c.ResolveEncryption()
	if !on {
		return keySource{}, nil
	}
	s, err := keySourceOf(e)
	if err != nil {
		return keySource{}, fmt.Errorf("key source: %w", err)
	}
	if s.escrow, err = keys.ParseRecipients(e.EscrowRecipients); err != nil {
		return keySource{}, joinClose(err, s)
	}
	return s, nil
}

func keySourceOf(e configs.ResolvedEncryption) (keySource, error) {
	switch {
	case e.KeyFile != "":
		f, err := keys.OpenKEKFile(e.KeyFile)
		if err != nil {
			return keySource{}, err
		}
		return keySource{Wrapper: f, closer: f}, nil
	case !e.Key.IsZero():
		text, err := e.Key.Reveal()
		if err != nil {
			return keySource{}, err
		}
		m, err := keys.NewMaster(text)
		if err != nil {
			return keySource{}, err
		}
		return keySource{Wrapper: m}, nil
	}
	return vaultSource(e.Vault)
}

func vaultSource(v configs.ResolvedVault) (keySource, error) {
	roots, err := authorities(v.CAFile)
	if err != nil {
		return keySource{}, err
	}
	w, err := keys.NewVault(keys.VaultConfig{
		Address: v.Address, Mount: v.Mount, Key: v.Key, Roots: roots,
		Token: func(context.Context) (string, error) { return v.Token.Reveal() },
	})
	if err != nil {
		return keySource{}, err
	}
	return keySource{Wrapper: w, closer: w}, nil
}

// Close releases what the source holds.
func (s keySource) Close() error {
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}
