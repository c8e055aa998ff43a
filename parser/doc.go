// Package parser turns the raw bytes of a message into a mail.Message. It is
// pure and total: the same bytes and limits always give the same result, no
// input makes it fail, and whatever is wrong with a message is returned as
// defects (see the table in defects.go). The raw bytes are never changed; parts
// are offsets into them, so everything here can be thrown away and made again
// by a later Version.
//
// # Model
//
// Parsing has four steps, each linear in its input:
//
//  1. Scan (scan.go, header.go, boundary.go) walks the bytes through a window
//     and cuts them into a tree of entities: header fields, bodies, preambles,
//     epilogues and boundary lines, all by offset. It follows RFC 5322 and
//     RFC 2046 where the message does, and otherwise the habits of the mail
//     that exists: lost blank lines, lost folds, wrong or missing boundaries,
//     CR as line end, mbox lines.
//  2. Fields (fields.go and the files named for what they read) decode the
//     header: words (RFC 2047), parameters (RFC 2231), addresses, dates,
//     message ids. A strict reading is tried first where a library has one.
//  3. Leaves (leaf.go) are streamed once through the transfer decoder for their
//     size and digest. Bodies that are sound are decoded at once (quick.go), to
//     what go-message would make of them; it decodes the others; where it
//     refuses, decoders that never fail (decode.go) read the same bytes again.
//  4. Text (body.go, package readable) chooses what a reader would read, by the
//     rules of RFC 8621 section 4.1.4, and makes plain text of it.
//
// # Invariants
//
// Tests hold these over a corpus and its mutations:
//
//   - No byte is unaccounted for: header, leaf, preamble, epilogue and boundary
//     spans tile the message exactly. Where no part is found in a multipart its
//     body is a text leaf, and text outside of parts is part of Message.Text.
//   - Every offset and length lies inside the message, and PartReader gives the
//     octets whose digest and size the part carries.
//   - Two runs give deeply equal results. No limit is a time: a budget of
//     octets or entries bounds each step instead, because a view that is rebuilt
//     on a slower machine must come out the same.
//   - Values of fields hold no control characters, so they cannot break a log
//     line, a CSV cell or an HTTP header.
//   - Recursion ends at Limits.Depth, entities at Limits.Parts.
//
// Memory is bounded by the limits, not by the message: ParseAt reads a message
// of any size through a window and keeps only texts.
package parser

// Version is the version of what this package derives from the same bytes. It
// is raised whenever a result may differ, so that views know to be rebuilt.
const Version = 3
