package extract

// Limits bound what one call of Text may cost. A limit that is reached ends the
// text there, with the status truncated. A zero field takes its default.
type Limits struct {
	Depth    int   // documents within documents; a deeper one is left out
	Entries  int   // documents within the document, at all depths
	Unpacked int64 // octets that come out of decompression, at all depths
	Entry    int64 // octets of one entry of an archive
	Ratio    int64 // octets out per octet in, once RatioFrom octets came out
	// RatioFrom spares small files, which may well be mostly spaces.
	RatioFrom int64
	Text      int // octets of UTF-8 text
}

// DefaultLimits returns the limits for one attachment.
func DefaultLimits() Limits {
	return Limits{
		Depth:     5,
		Entries:   10_000,
		Unpacked:  256 << 20,
		Entry:     64 << 20,
		Ratio:     200,
		RatioFrom: 10 << 20,
		Text:      16 << 20,
	}
}

// orDefault returns l with its zero and negative fields replaced.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, def *int }{{&l.Depth, &d.Depth}, {&l.Entries, &d.Entries}, {&l.Text, &d.Text}} {
		if *f.v <= 0 {
			*f.v = *f.def
		}
	}
	for _, f := range []struct{ v, def *int64 }{
		{&l.Unpacked, &d.Unpacked}, {&l.Entry, &d.Entry}, {&l.Ratio, &d.Ratio}, {&l.RatioFrom, &d.RatioFrom},
	} {
		if *f.v <= 0 {
			*f.v = *f.def
		}
	}
	return l
}
