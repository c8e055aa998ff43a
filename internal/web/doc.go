// Package web is the HTTP face of a running mailkeep: the API that the command
// line speaks over a Unix-domain socket in the archive's directory, and the
// health and metrics pages on an optional TCP address.
//
// Two servers, two sets of routes, told apart by who may reach them:
//
//   - Control routes answer on the socket only. The socket is made with mode
//     0600, so the file system is the authentication: whoever may read the
//     archive may ask it.
//   - Public routes (/healthz, /readyz, /metrics) say nothing about mail and
//     may listen on TCP.
//
// All routes stand in routes.go. Handlers return errors; fail maps a mail.Kind
// to a status once.
package web
