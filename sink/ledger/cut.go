package ledger

// Cut seals the open segment, if there are records in it, so that what keeps sealed
// segments elsewhere gets them before the segment is full.
func (l *Ledger) Cut() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.closed {
		return errClosed
	}
	if err := l.owns(); err != nil {
		return l.fail("seal the open segment", err)
	}
	if err := l.heal(); err != nil {
		return err
	}
	if l.seg == nil || len(l.seg.offsets) < 2 { // the first record says that it was opened
		return nil
	}
	if err := l.sealSegment("age"); err != nil {
		return l.fail("seal the open segment", err)
	}
	return nil
}
