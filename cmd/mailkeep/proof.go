package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// A proving holds the flags of proof.
type proving struct {
	out   string
	check bool
	vkey  string
}

// proof returns the command that proves that a message is in the archive.
func (p *program) proof() *cobra.Command {
	var o proving
	cmd := &cobra.Command{
		Use:   "proof id",
		Short: "prove that a message is in the archive, or check such a proof",
		Long: `Proof prints a proof that the message with this id is in the archive: one file of
JSON that holds the message's record, the way from it to the root of the log, the
signed checkpoint with that root, and time stamps over it if there are any. With
--out it writes the proof to that file, which must not exist yet, and beside it
verify.py, which checks it with nothing but Python and openssl.

With --check it checks proofs, offline: each FILE that ends in .json is a proof,
and any other file a message, which must be the one of the proof before it. --vkey
is the archive's public key that you hold: a line of checkpoint.vkey, or a file with
it. Without it the one in the archive that is configured counts.`,
		Example: `  mailkeep proof 0-1234 --out 0-1234.json
  mailkeep show 0-1234 --raw --output 0-1234.eml
  mailkeep proof --check --vkey checkpoint.vkey 0-1234.json 0-1234.eml`,
		Args: someArgs("one id, such as 0-1234, or with --check one file or more"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.runProof(cmd, args, o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "write the proof to this `file`, and verify.py beside it")
	f.BoolVar(&o.check, "check", false, "check proofs in place of making one")
	f.StringVar(&o.vkey, "vkey", "", "public `key` of the archive, or a file that holds it, for --check")
	cmd.MarkFlagsMutuallyExclusive("out", "check")
	return cmd
}

func (p *program) runProof(cmd *cobra.Command, args []string, o proving) error {
	switch {
	case o.check:
		return p.checkProofs(cmd, args, o.vkey)
	case o.vkey != "":
		return usagef(cmd.CommandPath(), "--vkey needs --check")
	case len(args) != 1:
		return usagef(cmd.CommandPath(), "%s takes one id, such as 0-1234", cmd.CommandPath())
	}
	id, err := mail.ParseID(args[0])
	if err != nil {
		return err
	}
	return p.withClient(cmd, func(ctx context.Context, _ *configs.Config, cl client) error {
		b, err := cl.Proof(ctx, id)
		if err != nil {
			return err
		}
		text, err := b.Marshal()
		if err != nil {
			return err
		}
		if err := p.writeTo(o.out, bytes.NewReader(text)); err != nil || o.out == "" {
			return err
		}
		return p.placeScript(filepath.Join(filepath.Dir(o.out), "verify.py"))
	})
}

// placeScript writes verify.py unless it is there.
func (p *program) placeScript(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.writeTo(name, bytes.NewReader(tlog.Script))
}

// checkProofs checks files in order.
func (p *program) checkProofs(cmd *cobra.Command, files []string, vkey string) error {
	key, err := p.publicKey(cmd, vkey)
	if err != nil {
		return err
	}
	var last *tlog.Proved
	for _, name := range files {
		if !strings.EqualFold(filepath.Ext(name), ".json") {
			if err := p.checkMessage(name, last); err != nil {
				return err
			}
			continue
		}
		if last, err = checkProof(name, key); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		printLine(p.stdout, name+": "+proved(last))
	}
	return nil
}

// publicKey returns the key that is given, or that of the archive.
func (p *program) publicKey(cmd *cobra.Command, vkey string) (string, error) {
	name := vkey
	if vkey == "" {
		c, err := p.load(cmd, false)
		if err != nil {
			return "", err
		}
		name = filepath.Join(c.Archive.Dir, tlog.VKeyName)
	}
	b, err := os.ReadFile(name)
	switch {
	case vkey != "" && err != nil && strings.Count(vkey, "+") >= 2:
		return vkey, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", mail.WithHint(mail.Errorf(mail.NotFound, "there is no public key in %s", name), "name the key that you hold of the archive with --vkey")
	case err != nil:
		return "", fmt.Errorf("read the public key: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line, nil
}

// checkProof checks one proof.
func checkProof(name, key string) (*tlog.Proved, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b, err := tlog.ParseBundle(text)
	if err != nil {
		return nil, err
	}
	archive, _, _ := strings.Cut(key, "/")
	trust, err := tlog.NewTrust(archive+"/"+fmt.Sprint(b.ID.Partition), key)
	if err != nil {
		return nil, err
	}
	got, err := b.Check(trust, func(response, data []byte) (tlog.Stamp, error) { return tlog.OpenStamp(response, data, nil) })
	return &got, err
}

// checkMessage compares a message with the proof before it.
func (p *program) checkMessage(name string, last *tlog.Proved) error {
	if last == nil {
		return mail.Errorf(mail.Invalid, "%s: a message comes behind the proof that is about it", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := mail.NewFingerprinter()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if got := sum.Sum(); got.Digest != last.Digest || uint64(got.Size) != last.Size {
		return mail.Errorf(mail.Corrupt, "%s is not the message of the proof of %s", name, last.ID)
	}
	printLine(p.stdout, name+": it is that message")
	return nil
}

// proved tells what a proof proves.
func proved(g *tlog.Proved) string {
	var s strings.Builder
	s.WriteString(fmt.Sprintf("record %s, a message of %s with the SHA-256 %s, is in the archive's log of %s",
		g.ID, count(g.Size, "octet"), g.Digest, count(g.Checkpoint.Size, "record")))
	for _, t := range g.Stamped {
		s.WriteString("; stamped " + t.Format(time.RFC3339) + ", by an authority that verify.py --tsa-ca or openssl checks")
	}
	return s.String()
}
