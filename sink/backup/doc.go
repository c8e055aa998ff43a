// Package backup keeps copies of an archive in another directory, and makes an
// archive anew from them. docs/archive-format.md is the specification.
//
// # Model
//
// A backup is a directory of objects and manifests:
//
//	BACKUP                       which archive it is of
//	objects/<SHA-256>            the octets of a file, under their own hash
//	manifests/<n>-<SHA-256>      what an archive consisted of, under its own hash
//	lock                         of the one writer
//
// A manifest lists all files of the archive that are not views or transport:
// path, size, mode and hash. What did not change since the manifest before is
// listed again and not copied again; sealed segments, nearly all of an archive,
// are not even read again. So each manifest is a whole backup, and costs what is
// new. Of the open segment the manifest has the part that was durable.
//
// # Invariants
//
//   - A manifest is written last, after all objects that it names were synced,
//     read back and compared. A backup that was cut off leaves objects that
//     nothing names, which the next one finds and uses.
//   - What is backed up is good: a segment is compared with the SHA-256 of its
//     seal on the way. One that is damaged is refused, and so is the manifest.
//   - A manifest continues the one before: every segment that was there is there,
//     with the same seal, and what was open then begins what has its place now.
//     An archive that was rolled back, or forked, is refused with mail.Corrupt and
//     its good copies stay.
//   - Within one manifest, evidence is older than the ledger that it is about:
//     checkpoints and anchors are copied before the ledger is looked at, so that
//     no checkpoint speaks of records that the backup lacks. The same holds for
//     saved searches, which note how far they have looked. Keys are copied after
//     it, so that there is one for each segment.
//   - An archive that is restored has no identity before all of it was written,
//     synced, and found good by the caller's judgement. Before, nothing opens it.
//   - No object is removed that a manifest which is kept names.
//
// A backup holds what the archive holds, private keys below its directory
// included, and needs the same protection. Objects have mode 0400.
package backup
