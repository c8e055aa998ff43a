// Package dictionary is the zstd dictionary (RFC 8878 section 5) that ships with
// mailkeep: what all mail has in common, so that a message of a few kilobytes
// compresses on its own as well as many do together.
//
// It is trained on mail that the generator in this package's tests invents: the
// headers that mail systems add, the markup that mail programs write, the
// metadata of the ledger's own records, and the phrases of business letters. No
// mail of anybody ever was in it. A dictionary that is trained on an archive's
// mail would hold pieces of that mail, and keep them when it is erased.
//
// A dictionary never changes once an archive was made with it: the bodies of
// that archive cannot be decompressed without it. A better one gets another id
// and stands beside this one. To train it, run the tests of this package with
// -train; the result depends on the version of the trainer, so it is not
// reproduced by the tests, only judged.
package dictionary

import _ "embed" // for the file

// MailID is the id of the dictionary for mail, which stands in the file, in
// each compressed frame, and in the header of each record.
const MailID = 0x6d6b0001

//go:embed mail.dict
var mail string

// Mail returns the dictionary for mail.
func Mail() []byte { return []byte(mail) }
