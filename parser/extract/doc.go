// Package extract makes text of documents: what is attached to mail as office
// files, archives, calendars, cards and mails. It works on the octets of a
// document alone: no process, no network, no file, no clock.
//
// # Model
//
// Text looks at a document's first octets, its declared type and its name, in
// this order of trust (KindOf), and hands it to the reader of that kind. A
// reader writes text to a sheet, which ends it at a limit, and documents that
// it finds inside to child, which reads them the same way one level deeper. So
// the text of a mail in a ZIP in a mail is part of the text of the outermost,
// each piece behind the name of its document.
//
// Two kinds are not read here: PDF and pictures need code that is too large or
// too foreign to trust. The caller gives functions for them in Tools; they are
// met at every depth. Mails are read by the parser, which comes the same way.
//
// # Invariants
//
//   - Text is total: any octets give a Result, with a status that says how much
//     of the text it holds. A panic of a reader costs that document's text.
//   - The same document, limits and tools give the same Result as long as the
//     context lives. No limit is a time; the context ends work that lasts.
//   - Memory and work are bounded by the limits, never by sizes that a document
//     declares of itself: what is unpacked is counted as it comes out, across
//     all levels. Chains of sectors and references that turn back on themselves
//     end, because each element is visited once. One exception is left: the
//     readers of 7z, and of XZ behind the first block, believe a stream's word
//     for the size of its window. The process that reads has a limit for that.
//   - XML is read without DTDs: encoding/xml expands no entity of a document's
//     own, and nothing here teaches it to.
//   - Text is UTF-8 with LF as line end, without controls and characters of no
//     width. Deleted text of tracked changes, notes, comments, headers, footers
//     and hidden cells are part of it: they were sent.
//   - Names of entries are text. They are never a path.
//
// # Versions
//
// Each reader has a version, and each Result names its reader, so that the
// texts of an old one can be made again (see Current). Whoever changes what a
// reader gives raises its number in the table of versions.
package extract
