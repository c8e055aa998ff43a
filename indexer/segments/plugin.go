package segments

import (
	"cmp"
	"errors"
	"hash/crc32"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
	segment "github.com/blevesearch/scorch_segment_api/v2"
	zap "github.com/blevesearch/zapx/v17"
)

// Plugin makes segments for the engine. All but the making, and what is done about
// bad disks while segments are merged, is that of the version of the format which
// it embeds.
type Plugin struct{ zap.ZapPlugin }

// registered guards the engine's global table of plugins.
var registered sync.Once

// Register makes the engine use Plugin for all indexes of this format, those
// that are there already included. It must be called before the first is opened.
func Register() {
	registered.Do(func() { scorch.RegisterSegmentPlugin(&Plugin{}, true) })
}

// New implements scorch.SegmentPlugin.
func (p *Plugin) New(docs []index.Document) (segment.Segment, uint64, error) {
	return p.NewUsing(docs, nil)
}

// NewUsing implements scorch.SegmentPlugin. Documents without a Content are left
// to the engine; a batch has either kind.
func (p *Plugin) NewUsing(docs []index.Document, config map[string]any) (segment.Segment, uint64, error) {
	in := make([]input, 0, len(docs))
	for _, d := range docs {
		if c := contentOf(d); c != nil {
			in = append(in, input{d.ID(), c})
		}
	}
	switch len(in) {
	case 0:
		return p.ZapPlugin.NewUsing(docs, config)
	case len(docs):
	default:
		return nil, 0, errors.New("documents of two kinds in one batch")
	}
	slices.SortFunc(in, func(a, b input) int { return cmp.Compare(a.id, b.id) })
	stats, ok := config[segment.StatsKey].(*segment.Stats)
	if !ok || stats == nil {
		stats = new(segment.Stats)
	}
	m, err := build(in)
	if err != nil {
		return nil, 0, err
	}
	s, err := zap.InitSegmentBase(m.out, crc32.ChecksumIEEE(m.out), zap.DefaultChunkMode, uint64(len(in)), m.stored, m.sections, config, stats)
	if err != nil {
		return nil, 0, err
	}
	return s, uint64(len(m.out)), nil
}

// MergeUsing implements scorch.SegmentPlugin. The files of the segments are mapped
// to memory: a fault of that, as on a bad disk, is a panic here, which the engine
// makes an error of its own, and not the end of the process.
func (p *Plugin) MergeUsing(segments []segment.Segment, drops []*roaring.Bitmap, path string, closeCh chan struct{}, s segment.StatsReporter, config map[string]any) ([][]uint64, uint64, error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return p.ZapPlugin.MergeUsing(segments, drops, path, closeCh, s, config)
}

// An input is a document that a segment is to hold.
type input struct {
	id      string
	content *Content
}
