package indexer

import (
	"container/list"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
)

// maxResults bounds what is kept of former searches, in octets. A million hits
// of a common word take 125 KB.
const maxResults = 16 << 20

// A result is what a search found in a sealed shard, which would find the same
// again: the next page of an answer, and its counts, come from here.
type result struct {
	docs  *roaring.Bitmap // not to be changed
	tally Tally
}

// results keeps the results that were used last. A nil one keeps nothing.
type results struct {
	mu     sync.Mutex
	octets int
	recent *list.List // of *kept, the last used in front
	byKey  map[string]*list.Element
}

type kept struct {
	key string
	result
	octets int
}

func newResults() *results {
	return &results{recent: list.New(), byKey: map[string]*list.Element{}}
}

func (c *results) get(key string) (result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return result{}, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*kept).result, true
}

func (c *results) put(key string, r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	k := &kept{key: key, result: r, octets: len(key) + int(r.docs.GetSizeInBytes()) + 256}
	c.byKey[key] = c.recent.PushFront(k)
	for c.octets += k.octets; c.octets > maxResults; {
		last := c.recent.Remove(c.recent.Back()).(*kept)
		delete(c.byKey, last.key)
		c.octets -= last.octets
	}
}
