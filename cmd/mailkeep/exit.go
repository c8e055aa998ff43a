package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/mail"
)

// The exit statuses, as the help of the root command lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartial     = 3
	exitDamaged     = 4
	exitInUse       = 5
	exitNotFound    = 6
	exitInterrupted = 130
)

const exitHelp = `Exit statuses:
  0    done
  1    failed
  2    wrong usage, wrong query or wrong configuration
  3    done in part: some mailboxes failed
  4    the archive is damaged
  5    the archive or the mailbox is in use
  6    no such message or mailbox
  130  interrupted before the work was done`

// errPartial says that some mailboxes failed; which, is in the result.
var errPartial = errors.New("some mailboxes failed")

// exitStatus is the one place where errors become exit statuses.
func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errPartial):
		return exitPartial
	}
	switch mail.KindOf(err) {
	case mail.Invalid:
		return exitUsage
	case mail.Corrupt:
		return exitDamaged
	case mail.InUse:
		return exitInUse
	case mail.NotFound:
		return exitNotFound
	}
	return exitFailure
}

// printError writes err for a person: "mailkeep: error: ..." once, or once per
// fault of a configuration, then a hint if there is one.
func printError(w io.Writer, err error) {
	lines := []string{err.Error()}
	if errors.Is(err, context.Canceled) {
		lines = []string{"interrupted"}
	}
	if faults, ok := errors.AsType[configs.Faults](err); ok {
		lines = strings.Split(faults.Error(), "\n")
	}
	for _, line := range lines {
		fmt.Fprintf(w, "mailkeep: error: %s\n", printable(line))
	}
	if hint := mail.HintOf(err); hint != "" {
		fmt.Fprintf(w, "mailkeep: hint: %s\n", printable(hint))
	}
}

// usagef returns an error about the command line, for the command whose help
// explains it.
func usagef(command, format string, args ...any) error {
	return mail.WithHint(mail.Errorf(mail.Invalid, format, args...), "see %s --help", command)
}
