package main

import (
	"context"
	"io"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/backup"
	"github.com/mailkeep/mailkeep/sink/keys"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// An application is what the commands need of the program. It is a value of
// functions, not an import, so that the commands are tested without an archive.
// Functions return errors with a mail.Kind, from which the exit status comes,
// and return mail.Error hints for people.
type application struct {
	// Run does the work of the roles until ctx ends, then stops in order and
	// returns nil. It returns earlier only with an error.
	Run func(ctx context.Context, c *configs.Config, roles []app.Role, console app.Console) error

	// DrainOnce polls the named mailboxes, or all, until each is empty or has
	// failed, and returns when what was fetched is sealed and indexed. A mailbox
	// that fails is told in the result; the error is for what stopped the round.
	// A name that is not configured is mail.NotFound before any work.
	DrainOnce func(ctx context.Context, c *configs.Config, names []string, console app.Console) (app.DrainResult, error)

	// Probe looks at the named mailboxes on their servers and changes nothing. What
	// kept one from being looked at is in its report; the error is for what stopped
	// the round. A name that is not configured is mail.NotFound before any work.
	Probe func(ctx context.Context, c *configs.Config, names []string, force bool, console app.Console) ([]app.ProbeReport, error)

	// Reset closes the breakers of the named mailboxes and has what waits tried at
	// once. What kept one from being reset is in its report; the error is for what
	// stopped the round. Unknown names, and no archive, are mail.NotFound.
	Reset func(ctx context.Context, c *configs.Config, names []string, console app.Console) ([]app.ResetReport, error)

	// Open opens the archive for reading, also while another process runs on it.
	Open func(ctx context.Context, c *configs.Config, console app.Console) (client, error)

	// Verify checks the archive offline. What it finds is in the report; the
	// error is for what kept it from looking.
	Verify func(ctx context.Context, c *configs.Config, o app.VerifyOptions, console app.Console) (app.VerifyReport, error)

	// Backup copies what is new of the archive to a directory, also while a process
	// works on it, and keeps so many backups there; 0: all. mail.Invalid if the
	// directory is something else, mail.Corrupt if the archive is damaged or does not
	// continue the last backup.
	Backup func(ctx context.Context, c *configs.Config, dir string, keep int, console app.Console) (backup.Report, error)

	// CheckBackup reads a backup and compares it with its hashes. What it finds is in
	// the report. The configuration may be nil for a directory.
	CheckBackup func(ctx context.Context, c *configs.Config, dir string, console app.Console) (backup.CheckReport, error)

	// Restore makes an archive from a backup. mail.Invalid if the directory is not
	// empty, mail.Corrupt if the backup is damaged.
	Restore func(ctx context.Context, c *configs.Config, o app.RestoreOptions, console app.Console) (app.RestoreReport, error)

	// Repair mends damaged segments from a copy. It is mail.InUse while another
	// process runs on the archive. What was refused is in the report.
	Repair func(ctx context.Context, c *configs.Config, o app.RepairOptions, console app.Console) (app.RepairReport, error)

	// Reindex deletes the views of the ledger and builds them again. It is
	// mail.InUse while another process runs on the archive.
	Reindex func(ctx context.Context, c *configs.Config, console app.Console) error

	// Reparse reads messages again for the index, also while a process works on the
	// archive. mail.Invalid for an order that cannot be.
	Reparse func(ctx context.Context, c *configs.Config, o mail.ReparseOrder, console app.Console) (mail.Reparsed, error)

	// Inspect reads a message that is in no archive, as the indexer would. A message
	// comes without an error, however broken it is.
	Inspect func(ctx context.Context, r io.ReaderAt, size int64, o app.InspectOptions) (*mail.Message, error)

	// Hold places a legal hold or releases one, also while a process works on the
	// archive, and returns the matter. mail.NotFound for a message, mailbox or matter
	// that is unknown.
	Hold func(ctx context.Context, c *configs.Config, h mail.Hold, console app.Console) (mail.Matter, error)

	// HoldFound places a hold on what its query finds, and tells of how many messages
	// not all text could be searched.
	HoldFound func(ctx context.Context, c *configs.Config, h mail.Hold, console app.Console) (m mail.Matter, partly uint64, err error)

	// Matters returns all legal matters, the released ones too.
	Matters func(ctx context.Context, c *configs.Config, console app.Console) ([]mail.Matter, error)

	// Erase erases records for good, also while a process works on the archive.
	// mail.Denied if one is held or retained, mail.Invalid if it cannot be erased.
	Erase func(ctx context.Context, c *configs.Config, o mail.EraseOrder, console app.Console) (mail.Erased, error)

	// SaveSearch keeps a search under its name, SavedSearches returns all of them, and
	// DropSearch forgets one. mail.Invalid for a query or name that cannot be.
	SaveSearch    func(ctx context.Context, c *configs.Config, s mail.SavedSearch, console app.Console) (mail.SavedSearch, error)
	SavedSearches func(ctx context.Context, c *configs.Config) ([]mail.SavedSearch, error)
	DropSearch    func(ctx context.Context, c *configs.Config, name string) error

	// NewKey changes the key that signs checkpoints and returns the public keys, by
	// partition. It is mail.InUse while another process runs on the archive.
	NewKey func(ctx context.Context, c *configs.Config) ([]string, error)

	// RotateKeys seals the key files of the archive under new key encryption keys
	// and destroys the older ones. mail.NotFound if the archive is not encrypted.
	RotateKeys func(ctx context.Context, c *configs.Config) ([]keys.Rotation, error)

	// EscrowKeys writes the copies of all keys for those who are configured to get
	// them, and returns of how many segments.
	EscrowKeys func(ctx context.Context, c *configs.Config) (int, error)

	// MoveKeys seals the key files of the archive under keys of the source that another
	// configuration names. It is mail.InUse while another process runs on the archive.
	MoveKeys func(ctx context.Context, c, to *configs.Config) (keys.Rotation, error)

	// RestoreKeys makes key files that were lost from their copies in escrow.
	RestoreKeys func(ctx context.Context, c *configs.Config, o app.KeyRestoreOptions) (keys.Recovery, error)

	// Demo shows the product on a server and mail of its own, and tells on out
	// what it does.
	Demo func(ctx context.Context, o app.DemoOptions, out io.Writer, console app.Console) error
}

// A client reads an archive. Its methods may be called at the same time.
type client interface {
	// Search answers one page of hits with its coverage. A faulty query is
	// mail.Invalid.
	Search(ctx context.Context, q mail.SearchRequest) (mail.SearchAnswer, error)

	// Message returns the record and what the parser makes of its raw bytes; for
	// a reference, those of the message that it stands for. mail.NotFound if the
	// ledger has no such message.
	Message(ctx context.Context, id mail.ID) (mail.Record, *mail.Message, error)

	// Copies finds the deliveries of a message that Message gave: copies of it, and
	// journal reports about it. There is always itself.
	Copies(ctx context.Context, id mail.ID, m *mail.Message) (app.Copies, error)

	// Raw returns the exact bytes of the message; the caller closes them.
	Raw(ctx context.Context, id mail.ID) (mail.Raw, error)

	// Attachment returns the decoded content of the n-th attachment as
	// attachments counts them, from 1, and its file name, which may be empty and
	// is not fit to be used as a path. mail.NotFound if there are fewer.
	Attachment(ctx context.Context, id mail.ID, n int) (name string, content io.Reader, err error)

	// Proof proves that a message is in the archive. mail.NotFound if there is no
	// such message, or no checkpoint over it yet.
	Proof(ctx context.Context, id mail.ID) (tlog.Bundle, error)

	// Status tells the state of mailboxes, ledgers and views.
	Status(ctx context.Context) (app.StatusReport, error)

	// History tells of up to limit sessions of a mailbox, the latest first, and
	// with messages of each message that they handled. mail.NotFound if neither
	// configuration nor archive has the mailbox.
	History(ctx context.Context, mailbox string, limit int, messages bool) (app.History, error)

	// Close releases the archive.
	Close() error
}
