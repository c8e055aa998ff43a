// Package docs holds those of the documents that the program carries with it.
package docs

import _ "embed" // the documents

// ArchiveFormat is archive-format.md: what somebody needs to read an archive
// without mailkeep. Each archive has a copy of it.
//
//go:embed archive-format.md
var ArchiveFormat []byte
