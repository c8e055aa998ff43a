// Package worker makes text of documents in processes that can be killed.
//
// Readers of documents are large, and documents come from strangers. So a
// reader runs in a process of its own that can reach nothing and lose nothing:
// this program, started again (Main), behind a Pool.
//
// # Model
//
// A Pool has a bounded number of processes. Each reads one document at a time:
// the pool sends a query and the octets over the process's standard input, and
// the process answers over its standard output, in frames whose lengths are
// bounded on both sides (frame.go). A process that crashes, or takes too long,
// is killed; its document is tried once more in a fresh one, and after that has
// no text. So a crash or a bomb costs the text of one attachment, never the
// mail, and never the process that holds the archive.
//
// A process is retired after some hundreds of documents, when it was once
// large, and when a reader panicked in it.
//
// # The jail
//
// A process is started in two steps, because some of what binds it holds only
// for the thread that asks for it. The first step sets limits (memory, CPU,
// files) and a Landlock domain, and executes the program anew, under them. The
// second step compiles what needs files, then gives up all system calls but
// those that a Go program needs to compute, and says what it could apply: its
// guards. From then on it cannot open a file or a socket, start a process,
// signal any but itself, or make memory executable. Its environment is empty,
// and where the kernel allows, it is in a user and network namespace of its own.
//
// What a kernel, a container or an operating system does not let us apply is
// not applied, told in the log once, and shown by Pool.Guards. What is left
// everywhere is that the process can be killed.
//
// # Time
//
// The limit of time is one of CPU time, read from the process's clock, so that
// a busy machine gives the same result as an idle one; a longer limit of wall
// time catches what does not compute. Where the clock cannot be read (not
// Linux) only wall time counts. Results may differ between two runs for a
// document near a limit of time or memory, and for no other.
package worker
