// Command mailkeep drains POP3 mailboxes into a sealed, searchable archive.
//
// Each subcommand has a file of its own. Commands only read arguments, call the
// application (app.go) and render what it returns; the application is plugged
// in by wire.go. Three rules hold for all of them:
//
//   - Results go to standard output; logs, progress and errors to standard
//     error. With --json, standard output is one JSON document and nothing else.
//   - The exit status comes from the kind of the error alone (exit.go).
//   - Nothing that came with a mail reaches a terminal unfiltered (terminal.go).
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mailkeep/mailkeep/internal/app"
)

func main() {
	if status, ours := app.ExtractWorker(os.Args); ours {
		os.Exit(status)
	}
	limitMemory()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, os.Environ(), wire()))
}

// run executes one command line and returns the exit status. The first SIGINT
// or SIGTERM ends the context, which asks for an orderly stop; the second one
// finds the default handling and kills the process.
func run(args []string, stdout, stderr io.Writer, env []string, a application) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	restored := context.AfterFunc(ctx, stop)
	defer restored()

	p := &program{app: a, stdout: stdout, stderr: stderr, env: env}
	err := p.execute(ctx, args)
	if err != nil {
		printError(stderr, err)
	}
	return exitStatus(err)
}
