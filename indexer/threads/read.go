package threads

import (
	"bytes"

	bolt "go.etcd.io/bbolt"
)

// MaxMembers is the most positions that Members returns.
const MaxMembers = 10_000

// Root returns the root of the thread that the message at a position is in: the
// smallest position among its messages. false: the message is not known.
func (t *Table) Root(seq uint64) (root uint64, ok bool, err error) {
	err = t.view(func(tx *bolt.Tx) error {
		f := forestOf(tx)
		n, known, err := f.nodeOf(seq)
		if err != nil || !known {
			return err
		}
		root, ok, err = f.first(n)
		return err
	})
	return root, ok, err
}

// Roots returns the roots of many messages, as Root does, in one reading. Those
// that are not known are their own.
func (t *Table) Roots(seqs []uint64) ([]uint64, error) {
	roots := make([]uint64, len(seqs))
	err := t.view(func(tx *bolt.Tx) error {
		f := forestOf(tx)
		for i, seq := range seqs {
			roots[i] = seq
			n, known, err := f.nodeOf(seq)
			if err != nil {
				return err
			}
			if !known {
				continue
			}
			root, ok, err := f.first(n)
			if err != nil {
				return err
			}
			if ok {
				roots[i] = root
			}
		}
		return nil
	})
	return roots, err
}

// RootOf returns the root of the thread that a Message-ID, without < and >, is
// in. It may be one that was only referred to. false: no message is in its thread.
func (t *Table) RootOf(messageID string) (root uint64, ok bool, err error) {
	err = t.view(func(tx *bolt.Tx) (err error) {
		root, ok, err = forestOf(tx).first(keyOf(messageID))
		return err
	})
	return root, ok, err
}

// Members returns the positions of the messages in the thread of the message at
// a position, ascending, and whether there are more of them than limit; a limit
// of 0, or beyond MaxMembers, is MaxMembers. It is nil for an unknown message.
func (t *Table) Members(seq uint64, limit int) (seqs []uint64, more bool, err error) {
	if limit <= 0 || limit > MaxMembers {
		limit = MaxMembers
	}
	err = t.view(func(tx *bolt.Tx) error {
		f := forestOf(tx)
		n, known, err := f.nodeOf(seq)
		if err != nil || !known {
			return err
		}
		root, _, err := f.find(n)
		if err != nil {
			return err
		}
		c := f.members.Cursor()
		for k, _ := c.Seek(root[:]); bytes.HasPrefix(k, root[:]); k, _ = c.Next() {
			if more = len(seqs) == limit; more {
				break
			}
			seqs = append(seqs, memberSeq(k))
		}
		return nil
	})
	return seqs, more, err
}

// first returns the first member of the set of a node.
func (f forest) first(n nodeKey) (seq uint64, ok bool, err error) {
	root, _, err := f.find(n)
	if err != nil {
		return 0, false, err
	}
	k, _ := f.members.Cursor().Seek(root[:])
	if !bytes.HasPrefix(k, root[:]) {
		return 0, false, nil
	}
	return memberSeq(k), true, nil
}
