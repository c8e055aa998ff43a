// Package tlogtest lets Tessera, which is not ours, judge our transparency log:
// its fsck reads the golden archive of sink/tlog, and its proof builder and the
// verifier of package merkle prove every record of it. It is a module of its own,
// so that what it needs is no dependency of the program.
//
// make conformance runs it, and so does make check. It needs the module proxy, or
// a cache that has the modules; without them it fails.
package tlogtest
