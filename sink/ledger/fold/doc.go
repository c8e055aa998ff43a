// Package fold takes base64 out of the octets of mail, and puts the very same
// octets back.
//
// # Model
//
// Most octets of mail are attachments, which travel as lines of base64 (RFC 2045
// section 6.8). A compressor spends nearly all of its time on such lines, to win
// back the quarter that the encoding has added, and sees none of the repetitions
// of what is encoded. So runs of lines are replaced by the octets that they
// encode before anything is compressed.
//
// A run is some lines of base64 of the same length, of which the last may be
// shorter and padded, all with the same line end. What a run encodes, the length of
// its lines and their end are all there is to know of it. Everything else
// stays as it is: the literals. The folded form is
//
//	u32 number of runs
//	for each run:
//	    u32 number of literals in front of it, behind the run before
//	    u32 number n of octets that it encodes, not 0
//	    u16 length of a line in characters, a multiple of 4, not 0
//	    u8  line end: 1 is LF, 2 is CRLF
//	    u8  0
//	the literals
//	what the runs encode
//
// with all integers big endian. To unfold, copy literals up to a run; encode its
// octets by RFC 4648 section 4, with padding; end each line, the last one too.
// Behind the last run the rest of the literals follow.
//
// All literals stand before all runs since that compresses best: text and
// attachments differ in what is worth trying.
//
// # Invariants
//
//   - Unfolding gives the octets that were folded. A line is folded only if encoding
//     gives it again: padding and its unused bits are canonical (RFC 4648
//     section 3.5), and it holds nothing else.
//   - Unfolding gives exactly as many octets as the caller expects, or an error
//     before any is written, whatever is in the folded form.
//   - It is not tied to MIME: a run is found wherever it stands, so a piece of a
//     message folds like a whole one.
package fold
