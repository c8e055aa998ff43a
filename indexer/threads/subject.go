package threads

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

const (
	// window is how long before a reply without references the message may be
	// that it answers.
	window = 30 * 24 * time.Hour
	// maxCandidates bounds how many messages of a subject one is compared with,
	// those next to it in time first.
	maxCandidates = 64
)

// The kinds of messages of a subject. A reply without references looks for both
// kinds before it, any other message only for the former kind behind it.
const (
	kindOrphan byte = 'o' // a reply that does not say to what
	kindOther  byte = 'm'
)

// A subjectKey is the key of bucketSubject: 8 octets of the subject, the kind,
// the date in seconds and the position.
const subjectKeySize = 8 + 1 + 8 + 8

func subjectKey(subject []byte, kind byte, at time.Time, seq uint64) []byte {
	k := append(append(make([]byte, 0, subjectKeySize), subject...), kind)
	k = binary.BigEndian.AppendUint64(k, stamp(at))
	return binary.BigEndian.AppendUint64(k, seq)
}

// stamp orders dates; those before the year 1 are as it.
func stamp(t time.Time) uint64 { return uint64(max(0, t.Unix()-time.Time{}.Unix())) }

// addSubject keeps the message for those that come later, and ties it to those
// that are there.
func (f forest) addSubject(l Link, own nodeKey) error {
	if l.Subject == "" || len(l.People) == 0 {
		return errors.Join(f.forgetSubject(l.Seq), f.docs.Put(seqKey(l.Seq), own[:]))
	}
	subject, kind := short(l.Subject), kindOther
	if l.orphan() {
		kind = kindOrphan
	}
	key := subjectKey(subject, kind, l.Date, l.Seq)
	if err := f.keepSubject(l, own, key); err != nil {
		return err
	}
	if kind == kindOrphan {
		if err := f.tieBefore(own, key, kindOther, l.People); err != nil {
			return err
		}
		if err := f.tieBefore(own, key, kindOrphan, l.People); err != nil {
			return err
		}
	}
	return f.tieBehind(own, key, l.People)
}

// keepSubject keeps the key with the message's node, to be found by its position
// too.
func (f forest) keepSubject(l Link, own nodeKey, key []byte) error {
	if doc := f.docs.Get(seqKey(l.Seq)); len(doc) > len(own) && !bytes.Equal(doc[len(own):], key) {
		if err := f.subjects.Delete(doc[len(own):]); err != nil {
			return err
		}
	}
	value := append(make([]byte, 0, len(own)+8*len(l.People)), own[:]...)
	for _, p := range l.People[:min(len(l.People), maxPeople)] {
		value = append(value, short(p)...)
	}
	return errors.Join(f.subjects.Put(key, value), f.docs.Put(seqKey(l.Seq), append(own[:], key...)))
}

func (f forest) forgetSubject(seq uint64) error {
	doc := f.docs.Get(seqKey(seq))
	if len(doc) <= len(nodeKey{}) {
		return nil
	}
	return f.subjects.Delete(bytes.Clone(doc[len(nodeKey{}):]))
}

// tieBefore ties own to the messages of a kind in the window before key.
func (f forest) tieBefore(own nodeKey, key []byte, kind byte, people []string) error {
	from := withKind(key, kind)
	least := oldest(from)
	c := f.subjects.Cursor()
	k, _ := c.Seek(from)
	if k == nil {
		k, _ = c.Last()
	}
	var found []nodeKey
	for n := 0; k != nil && n < maxCandidates; k, _ = c.Prev() {
		if bytes.Compare(k, from) >= 0 {
			continue
		}
		if bytes.Compare(k, least) < 0 {
			break
		}
		n++
		found = f.candidate(found, k, people)
	}
	return f.tieAll(own, found)
}

// tieBehind ties own to the replies without references in the window behind key.
func (f forest) tieBehind(own nodeKey, key []byte, people []string) error {
	from := withKind(key, kindOrphan)
	var found []nodeKey
	c := f.subjects.Cursor()
	k, _ := c.Seek(from)
	for n := 0; len(k) == subjectKeySize && n < maxCandidates && bytes.Equal(k[:9], from[:9]); k, _ = c.Next() {
		if bytes.Compare(oldest(k), from) > 0 {
			break
		}
		if !bytes.Equal(k, key) {
			n++
			found = f.candidate(found, k, people)
		}
	}
	return f.tieAll(own, found)
}

func withKind(key []byte, kind byte) []byte {
	key = bytes.Clone(key)
	key[8] = kind
	return key
}

// oldest returns the first key in the window before key: whatever has a key
// below it is too old, or of another subject.
func oldest(key []byte) []byte {
	key = bytes.Clone(key)
	at := binary.BigEndian.Uint64(key[9:])
	binary.BigEndian.PutUint64(key[9:], at-min(at, uint64(window/time.Second)))
	clear(key[17:])
	return key
}

// candidate adds the node at key if it shares a participant.
func (f forest) candidate(found []nodeKey, key []byte, people []string) []nodeKey {
	v := f.subjects.Get(key)
	if len(v) < len(nodeKey{}) {
		return found
	}
	for _, p := range people {
		if want := short(p); containsShort(v[len(nodeKey{}):], want) {
			return append(found, nodeKey(v[:len(nodeKey{})]))
		}
	}
	return found
}

func containsShort(list, want []byte) bool {
	for ; len(list) >= 8; list = list[8:] {
		if bytes.Equal(list[:8], want) {
			return true
		}
	}
	return false
}

func (f forest) tieAll(own nodeKey, others []nodeKey) error {
	for _, other := range others {
		root, weight, err := f.root(own)
		if err == nil {
			_, _, err = f.tie(root, weight, other)
		}
		if err != nil {
			return mail.Errorf(mail.KindOf(err), "tie by subject: %w", err)
		}
	}
	return nil
}
