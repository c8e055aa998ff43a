// Package lab starts real POP3 servers and independent clients for the tests:
// Dovecot, Courier, popa3d, Cyrus, GNU Mailutils and solid-pop3d on loopback,
// and curl to say what they serve. It is imported by tests alone.
//
// Dovecot is installed on the system and runs as any user. The others are not
// installed, since Debian allows one POP3 server at a time: `make servers` runs
// servers.sh, which unpacks each of them with its libraries into a directory of
// its own, and a test runs it by chroot in a copy of that directory, which takes
// root. There the places that a server insists on, /etc/passwd and /var/mail
// among them, are the test's alone.
//
// A test that needs a program which is missing fails; `make test` installs
// what is needed on Debian. Where a server cannot be run at all, for want of
// apt-get or of root, its tests are skipped, and `make test` ends with the names
// of the servers that were not tested. Servers run in the foreground as children
// of the test, on free loopback ports, with all their files in a directory that
// is removed at the end.
package lab
