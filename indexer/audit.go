package indexer

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// auditLook is how long the audit sleeps at most: shards come and go.
const auditLook = time.Minute

// audit reads the files of sealed shards, one shard at a time, each every
// Options.CheckEvery and not faster than Options.CheckRate, and compares their
// checksums, until ctx ends. A disk that loses what nobody searches for is so
// noticed while the ledger is there to mend it.
func (x *Index) audit(ctx context.Context) {
	for ctx.Err() == nil {
		p, wait := x.oldest()
		if wait <= 0 {
			if x.auditOne(ctx, p) == nil {
				continue
			}
			wait = auditLook
		}
		pause(ctx, min(wait, auditLook))
	}
}

// oldest returns the sealed shard that was not compared for the longest time, and
// when it is to be, from now.
func (x *Index) oldest() (p *part, wait time.Duration) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var last time.Time
	for _, q := range x.serving.parts {
		if !q.sealed || q.broken() != nil {
			continue
		}
		if at := q.describe().Checked; p == nil || at.Before(last) {
			p, last = q, at
		}
	}
	if p == nil {
		return nil, auditLook
	}
	return p, last.Add(x.opts.CheckEvery).Sub(x.opts.Now())
}

// auditOne compares the files of one shard. A damaged one is left to the upkeep.
func (x *Index) auditOne(ctx context.Context, p *part) error {
	p.pin()
	defer p.unpin()
	if !x.current(p) { // its files are gone
		return nil
	}
	err := checkSealed(ctx, p.dir, p.describe().Files, x.opts.CheckRate)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		x.opts.Logger.Error("shard of the index compared with its checksums, and not as it was written", x.opts.logPartition(),
			slog.String("shard", filepath.Base(p.dir)), slog.Any("error", err))
		x.doubt(p, err)
		return err
	}
	x.opts.Logger.Info("shard of the index compared with its checksums", x.opts.logPartition(), slog.String("shard", filepath.Base(p.dir)))
	x.mu.Lock()
	defer x.mu.Unlock()
	p.update(func(s *shardInfo) { s.Checked = x.opts.Now().UTC() })
	return x.save()
}

// checkSealed compares the content of the files of a sealed shard, of which it
// reads at most rate octets a second; 0 is no limit.
func checkSealed(ctx context.Context, dir string, files map[string]file, rate int64) error {
	for name, want := range files {
		have, err := sumOf(ctx, filepath.Join(dir, filepath.FromSlash(name)), rate)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return classify("read a shard", err)
		case err != nil || have != want:
			return mail.Errorf(mail.Corrupt, "the file %s of the index is not as it was written", name)
		}
	}
	return nil
}

// sums reads the files below dir.
func sums(ctx context.Context, dir string) (map[string]file, error) {
	out := map[string]file{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(name)], err = sumOf(ctx, path, 0)
		return err
	})
	return out, err
}

// sumChunk is how much of a file is read between looks at the context, in octets.
const sumChunk = 256 << 10

func sumOf(ctx context.Context, path string, rate int64) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	for size := int64(0); ; {
		n, err := io.CopyN(sum, f, sumChunk)
		size += n
		switch {
		case errors.Is(err, io.EOF):
			return file{Size: size, CRC: sum.Sum32()}, nil
		case err != nil:
			return file{}, err
		case ctx.Err() != nil:
			return file{}, ctx.Err()
		}
		if rate > 0 {
			pause(ctx, time.Duration(n)*time.Second/time.Duration(rate))
		}
	}
}
