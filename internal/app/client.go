package app

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/indexer"
	"github.com/mailkeep/mailkeep/internal/telemetry"
	"github.com/mailkeep/mailkeep/internal/web"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser"
	"github.com/mailkeep/mailkeep/sink/catalog"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/ledger"
)

// A Client reads an archive, also while another process works on it: the
// ledger's files it reads itself; what that process holds locked (index and
// catalog) it asks for over the control socket, or opens itself if no process
// answers.
type Client struct {
	cfg     *configs.Config
	dir     *directory
	sources []*ledger.Reader
	reading *reading

	indexDoor, catalogDoor *web.Client // nil: no process answers

	mu       sync.Mutex
	indexes  []*indexer.Index   // opened on first need
	catalogs []*catalog.Catalog // opened on first need
	console  Console
}

// Open opens the archive for reading; mail.NotFound if there is none.
func Open(ctx context.Context, c *configs.Config, console Console) (*Client, error) {
	if err := readyDirect(ctx, c); err != nil {
		return nil, err
	}
	dir, err := openDirectory(c.Archive.Dir)
	if err != nil {
		return nil, err
	}
	log, err := telemetry.Logger(console.Logs, c.Log.Format, c.Log.Level)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	cl := &Client{cfg: c, dir: dir, reading: newReading(c.Resolve()).with(newTexts(c, log, nil)), console: console}
	if err := cl.open(ctx); err != nil {
		return nil, errors.Join(err, cl.Close())
	}
	return cl, nil
}

func (c *Client) open(ctx context.Context) (err error) {
	// Without a key source, what needs no key can still be read and verified.
	if _, on := c.cfg.ResolveEncryption(); on {
		if err := c.dir.openKeys(ctx, c.cfg, false); err != nil {
			return err
		}
	}
	if err := c.dir.openStore(c.cfg); err != nil {
		return err
	}
	for _, p := range c.dir.partitions() {
		files, err := c.dir.ledger(p)
		if err != nil {
			return err
		}
		r, err := ledger.OpenReader(files, c.dir.ledgerOptions(p))
		if err != nil {
			return err
		}
		c.sources = append(c.sources, r)
	}
	if c.indexDoor, err = door(ctx, c.dir, RoleIndex); err != nil {
		return err
	}
	c.catalogDoor, err = door(ctx, c.dir, RoleArchive)
	return err
}

// door connects to the process that has the role; nil if there is none.
func door(ctx context.Context, d *directory, r Role) (*web.Client, error) {
	c, err := web.NewClient(ctx, web.SocketPath(d.Path, string(r)))
	if errors.Is(err, web.ErrNoProcess) {
		return nil, nil
	}
	return c, err
}

// Search answers one page of hits.
func (c *Client) Search(ctx context.Context, r mail.SearchRequest) (mail.SearchAnswer, error) {
	if c.indexDoor != nil {
		return c.indexDoor.Search(ctx, r)
	}
	parts, err := c.offline()
	if mail.KindOf(err) == mail.InUse && c.catalogDoor != nil {
		return c.catalogDoor.Search(ctx, r) // that process can ask the others
	}
	if err != nil {
		return mail.SearchAnswer{}, err
	}
	return searchPartitions(ctx, searchers(parts), r, c.cfg.Search.MaxLimit, time.Duration(c.cfg.Search.Timeout))
}

// offline opens the indexes themselves, once.
func (c *Client) offline() ([]*partition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	log, err := telemetry.Logger(c.console.Logs, c.cfg.Log.Format, c.cfg.Log.Level)
	if err != nil {
		return nil, err
	}
	for p := len(c.indexes); p < len(c.sources); p++ {
		x, err := indexer.Open(indexer.Options{
			Dir: c.dir.index(uint16(p)), Partition: uint16(p), Logger: log, Look: true,
			Outside: outsideOf(func() (*catalog.Catalog, error) { return c.catalogOf(p) }),
		})
		if err != nil {
			return nil, err
		}
		c.indexes = append(c.indexes, x)
	}
	parts := make([]*partition, len(c.sources))
	for p := range parts {
		parts[p] = &partition{number: uint16(p), source: c.sources[p], index: c.indexes[p], reading: c.reading}
	}
	return parts, nil
}

// offlineCatalogs opens the catalogs themselves, once.
func (c *Client) offlineCatalogs() ([]*catalog.Catalog, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := len(c.catalogs); p < len(c.sources); p++ {
		k, err := catalog.Open(c.dir.catalog(uint16(p)), catalog.Options{Partition: uint16(p), Identity: c.dir.Identity.Archive})
		if err != nil {
			return nil, err
		}
		c.catalogs = append(c.catalogs, k)
	}
	return c.catalogs, nil
}

func (c *Client) source(id mail.ID) (*ledger.Reader, error) {
	if int(id.Partition) >= len(c.sources) {
		return nil, mail.Errorf(mail.NotFound, "there is no message %s: the archive has %d partitions", id, len(c.sources))
	}
	return c.sources[id.Partition], nil
}

// Message returns a record and what the parser makes of its message.
func (c *Client) Message(ctx context.Context, id mail.ID) (mail.Record, *mail.Message, error) {
	s, err := c.source(id)
	if err != nil {
		return mail.Record{}, nil, err
	}
	return c.reading.message(ctx, s, id)
}

// errErased says that the key of a record was destroyed.
var errErased = errors.New("erased")

func erased(id mail.ID) error {
	return mail.WithHint(mail.Errorf(mail.NotFound, "message %s was %w: its key is destroyed", id, errErased),
		"an event in the ledger tells who ordered it and why; nobody can read it any more")
}

// findRecord returns the record at id, which must be a message or a reference; of
// one that was erased it is an error.
func findRecord(ctx context.Context, s source, id mail.ID) (mail.Record, error) {
	for r, err := range s.Records(ctx, id.Seq) {
		if err != nil {
			return mail.Record{}, err
		}
		if r.ID != id || r.Kind == mail.KindEvent {
			break
		}
		if r.Erased {
			return r, erased(id)
		}
		return r, nil
	}
	return mail.Record{}, mail.WithHint(mail.Errorf(mail.NotFound, "there is no message %s", id), "ids are printed by mailkeep search")
}

// Raw returns the exact bytes of a message.
func (c *Client) Raw(ctx context.Context, id mail.ID) (mail.Raw, error) {
	s, err := c.source(id)
	if err != nil {
		return nil, err
	}
	raw, err := s.Raw(ctx, id)
	if errors.Is(err, keys.ErrErased) {
		return nil, erased(id)
	}
	return raw, err
}

// Attachment returns the decoded content of the n-th attachment, from 1, and
// its file name.
func (c *Client) Attachment(ctx context.Context, id mail.ID, n int) (string, io.Reader, error) {
	s, err := c.source(id)
	if err != nil {
		return "", nil, err
	}
	rec, err := findRecord(ctx, s, id)
	if err != nil {
		return "", nil, err
	}
	raw, err := s.Raw(ctx, rec.Body())
	if err != nil {
		return "", nil, err
	}
	m, err := c.reading.structure(rec, raw)
	if err != nil {
		return "", nil, errors.Join(err, raw.Close())
	}
	all := Attachments(m)
	if n < 1 || n > len(all) {
		return "", nil, errors.Join(mail.Errorf(mail.NotFound, "message %s has %d attachments; there is no attachment %d", id, len(all), n), raw.Close())
	}
	p := all[n-1]
	return p.FileName, &closingReader{parser.PartReader(raw, p), raw}, nil
}

// A closingReader closes what it reads from at its end.
type closingReader struct {
	io.Reader
	c io.Closer
}

func (r *closingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && r.c != nil {
		if e := r.c.Close(); e != nil && err == io.EOF {
			err = e
		}
		r.c = nil
	}
	return n, err
}

// Close releases the archive.
func (c *Client) Close() error {
	errs := []error{c.reading.texts.Close()}
	for _, d := range []*web.Client{c.indexDoor, c.catalogDoor} {
		if d != nil {
			d.Close()
		}
	}
	for _, x := range c.indexes {
		errs = append(errs, x.Close())
	}
	for _, k := range c.catalogs {
		errs = append(errs, k.Close())
	}
	for _, s := range c.sources {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.dir.Close())...)
}
