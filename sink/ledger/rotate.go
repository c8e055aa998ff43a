package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"

	"github.com/mailkeep/mailkeep/sink/keys"
)

// makeRoom sees to it that there is an open segment and that the batch fits
// into it, as far as that can be told before large messages are compressed.
func (l *Ledger) makeRoom(ctx context.Context, batch []*Entry) error {
	var need, records int64
	for _, e := range batch {
		need += e.Size()
		records += e.records()
	}
	if l.seg != nil && (l.seg.off+need > l.opts.SegmentSize || int64(len(l.seg.offsets))+records >= maxRecords) {
		if err := l.sealSegment("size"); err != nil {
			return err
		}
	}
	if l.seg == nil {
		return l.openSegment(ctx)
	}
	return nil
}

// openSegment begins the next segment, durably, before a record goes into it.
func (l *Ledger) openSegment(ctx context.Context) error {
	first := l.chain.seq
	tree, err := l.newTree(ctx, first, l.chain.number+1)
	if err != nil {
		return err
	}
	// If we die here, there is a key file without a segment; the next attempt
	// takes it.
	seg, err := createSegment(l.fs, openName(first), first)
	if err != nil {
		return err
	}
	// If we die here, there is an empty file or none; recovery sets it aside.
	seg.tree = tree
	l.seg, l.synced.off = seg, 0
	l.chain.number++
	note := openNote{
		Format: 1, Archive: hex.EncodeToString(l.opts.Archive[:]), Partition: l.opts.Partition,
		Software: l.opts.Software, Host: l.opts.Host,
	}
	if d := l.opts.Dictionary; d != nil {
		note.Dictionary = &dictNote{ID: d.ID(), Sum: d.Sum()}
	}
	if tree != nil {
		note.Cipher = cipherGCM
	}
	note.Epoch = l.claim.Epoch
	if err := seg.addOpen(&l.chain, note, l.opts.Now); err != nil {
		return err
	}
	if l.opts.SealEach { // it is nothing before it is sealed
		return nil
	}
	if err := seg.sync(); err != nil {
		return err
	}
	if err := l.fs.SyncDir("."); err != nil {
		return err
	}
	// If we die from here on, there is a segment that holds no more than its
	// first record; recovery seals it so.
	l.commit()
	return nil
}

// newTree makes the keys of a segment, durably; nil if it is not encrypted.
func (l *Ledger) newTree(ctx context.Context, first uint64, number uint32) (*keys.Tree, error) {
	if l.opts.Keys == nil {
		return nil, nil
	}
	t, err := l.opts.Keys.Create(ctx, first, number, l.opts.Group)
	if errors.Is(err, fs.ErrExist) {
		// A segment was begun here that has no durable record.
		t, err = l.opts.Keys.Load(ctx, first, number)
	}
	return t, err
}

// sealSegment ends the open segment.
func (l *Ledger) sealSegment(why string) error {
	first := l.seg.first
	if err := l.seg.seal(&l.chain, sealNote{Why: why}, l.opts.Now); err != nil {
		return err
	}
	// If we die here, recovery finds a sealed segment under its open name and
	// publishes a copy of it.
	if err := l.seg.f.Close(); err != nil {
		return err
	}
	if err := publish(l.fs, l.seg.name, first); err != nil {
		return err
	}
	if l.seg.tree != nil {
		l.seg.tree.Wipe()
	}
	l.seg = nil
	l.synced = synced{chain: l.chain.clone()}
	l.setLast(segment{first: first}, l.chain.visible)
	l.files.forget(first)
	return nil
}
