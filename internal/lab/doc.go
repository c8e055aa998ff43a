// Package lab starts real servers and independent clients for the tests:
// Dovecot from Debian on loopback, and curl to say what it serves. It is
// imported by tests alone.
//
// A test that needs a program which is missing fails; `make test` installs
// what is needed on Debian. Servers run in the foreground as children of the
// test, on free loopback ports, with all their files in a directory that is
// removed at the end.
package lab
