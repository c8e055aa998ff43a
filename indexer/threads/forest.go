package threads

import (
	"bytes"
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"

	"github.com/mailkeep/mailkeep/mail"
)

// A forest is the sets of nodes within one transaction.
type forest struct{ nodes, docs, members, subjects *bolt.Bucket }

func forestOf(tx *bolt.Tx) forest {
	return forest{tx.Bucket(bucketNodes), tx.Bucket(bucketDocs), tx.Bucket(bucketMembers), tx.Bucket(bucketSubject)}
}

// maxSteps bounds the way to a root, whose length is the logarithm of the number
// of nodes: a longer one is a circle, which only damage can make.
const maxSteps = 128

// add puts the message of l into its set and ties it to what it refers to.
func (f forest) add(l Link) error {
	own := l.node()
	old, known, err := f.nodeOf(l.Seq)
	if err != nil {
		return err
	}
	if known && old != own {
		if err := f.forget(l.Seq); err != nil {
			return err
		}
		known = false
	}
	root, weight, err := f.root(own)
	if err != nil {
		return err
	}
	if !known {
		weight++
		if err := errors.Join(f.docs.Put(seqKey(l.Seq), own[:]), f.members.Put(memberKey(root, l.Seq), nil), f.setWeight(root, weight)); err != nil {
			return err
		}
	}
	for _, id := range l.References {
		if root, weight, err = f.tie(root, weight, keyOf(id)); err != nil {
			return err
		}
	}
	return f.addSubject(l, own)
}

// root returns the root of a node's set and its weight. A node that is new is a
// set of its own. The way to the root is shortened for those who come after.
func (f forest) root(n nodeKey) (root nodeKey, weight uint64, err error) {
	root, weight, err = f.find(n)
	if err != nil {
		return root, 0, err
	}
	if weight == 0 {
		return n, 1, f.setWeight(n, 1)
	}
	for at := n; at != root; {
		parent := nodeKey(f.nodes.Get(at[:]))
		if parent != root {
			if err := f.nodes.Put(at[:], root[:]); err != nil {
				return root, 0, err
			}
		}
		at = parent
	}
	return root, weight, nil
}

// find returns the root of a node's set and its weight, 0 for an unknown node.
func (f forest) find(n nodeKey) (root nodeKey, weight uint64, err error) {
	for range maxSteps {
		switch v := f.nodes.Get(n[:]); len(v) {
		case 0:
			return n, 0, nil
		case 8:
			return n, binary.BigEndian.Uint64(v), nil
		case len(n):
			n = nodeKey(v)
		default:
			return n, 0, mail.Errorf(mail.Corrupt, "a node of the threads has %d octets", len(v))
		}
	}
	return n, 0, mail.Errorf(mail.Corrupt, "the threads have a circle at %x", n)
}

func (f forest) setWeight(root nodeKey, weight uint64) error {
	return f.nodes.Put(root[:], seqKey(max(weight, 1)))
}

// tie makes one set of root's and that of another node, and returns its root.
// The heavier root stays, so no way gets longer than the logarithm of the number
// of nodes, and no member moves more often than that.
func (f forest) tie(root nodeKey, weight uint64, other nodeKey) (nodeKey, uint64, error) {
	second, more, err := f.root(other)
	if err != nil || second == root {
		return root, weight, err
	}
	sum := weight + more
	if weight < more || weight == more && bytes.Compare(root[:], second[:]) > 0 {
		root, second = second, root
	}
	if err := errors.Join(f.nodes.Put(second[:], root[:]), f.setWeight(root, sum)); err != nil {
		return root, 0, err
	}
	return root, sum, f.move(second, root)
}

// move makes the members of one root those of another.
func (f forest) move(from, to nodeKey) error {
	var seqs []uint64
	c := f.members.Cursor()
	for k, _ := c.Seek(from[:]); bytes.HasPrefix(k, from[:]); k, _ = c.Next() {
		seqs = append(seqs, memberSeq(k))
	}
	for _, seq := range seqs {
		if err := errors.Join(f.members.Delete(memberKey(from, seq)), f.members.Put(memberKey(to, seq), nil)); err != nil {
			return err
		}
	}
	return nil
}

// forget removes a message from its set, and what is kept for its subject.
func (f forest) forget(seq uint64) error {
	own, known, err := f.nodeOf(seq)
	if err != nil || !known {
		return err
	}
	root, _, err := f.find(own)
	if err != nil {
		return err
	}
	if err := f.forgetSubject(seq); err != nil {
		return err
	}
	return errors.Join(f.docs.Delete(seqKey(seq)), f.members.Delete(memberKey(root, seq)))
}

// nodeOf returns the node of a message.
func (f forest) nodeOf(seq uint64) (n nodeKey, known bool, err error) {
	v := f.docs.Get(seqKey(seq))
	switch {
	case v == nil:
		return n, false, nil
	case len(v) < len(n):
		return n, false, mail.Errorf(mail.Corrupt, "message %d of the threads has %d octets", seq, len(v))
	}
	return nodeKey(v[:len(n)]), true, nil
}

func memberKey(root nodeKey, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(root[:], seq)
}

func memberSeq(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(nodeKey{}):]) }
