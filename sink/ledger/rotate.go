package ledger

import "encoding/hex"

// makeRoom sees to it that there is an open segment and that the batch fits
// into it, as far as that can be told before large messages are compressed.
func (l *Ledger) makeRoom(batch []*Entry) error {
	var need int64
	for _, e := range batch {
		need += e.Size()
	}
	if l.seg != nil && (l.seg.off+need > l.opts.SegmentSize || len(l.seg.offsets)+len(batch) > maxRecords) {
		if err := l.sealSegment("size"); err != nil {
			return err
		}
	}
	if l.seg == nil {
		return l.openSegment()
	}
	return nil
}

// openSegment begins the next segment, durably, before a record goes into it.
func (l *Ledger) openSegment() error {
	first := l.chain.seq
	seg, err := createSegment(l.fs, openName(first), first)
	if err != nil {
		return err
	}
	// If we die here, there is an empty file or none; recovery sets it aside.
	l.seg, l.synced.off = seg, 0
	l.chain.number++
	note := openNote{
		Format: 1, Archive: hex.EncodeToString(l.opts.Archive[:]), Partition: l.opts.Partition,
		Software: l.opts.Software, Host: l.opts.Host,
	}
	if err := seg.addOpen(&l.chain, note, l.opts.Now()); err != nil {
		return err
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

// sealSegment ends the open segment.
func (l *Ledger) sealSegment(why string) error {
	first := l.seg.first
	if err := l.seg.seal(&l.chain, sealNote{Why: why}, l.opts.Now()); err != nil {
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
	l.seg = nil
	l.synced = synced{chain: l.chain.clone()}
	l.setLast(segment{first: first}, l.chain.visible)
	l.files.forget(first)
	return nil
}
