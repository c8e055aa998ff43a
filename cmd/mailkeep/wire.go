package main

import (
	"context"

	"github.com/mailkeep/mailkeep/configs"
	"github.com/mailkeep/mailkeep/internal/app"
)

// wire plugs the application in.
func wire() application {
	return application{
		Run:       app.Run,
		DrainOnce: app.DrainOnce,
		Probe:     app.ProbeMailboxes,
		Reset:     app.ResetMailboxes,
		Open: func(ctx context.Context, c *configs.Config, console app.Console) (client, error) {
			cl, err := app.Open(ctx, c, console)
			if err != nil {
				return nil, err
			}
			return cl, nil
		},
		Verify:  app.Verify,
		Reindex: app.Reindex,
		Inspect: app.Inspect,
		Reparse: app.Reparse,

		Backup:      app.Backup,
		CheckBackup: app.CheckBackup,
		Restore:     app.Restore,
		Repair:      app.Repair,

		Hold:      app.Hold,
		HoldFound: app.HoldFound,
		Matters:   app.Matters,
		Erase:     app.Erase,

		SaveSearch:    app.SaveSearch,
		SavedSearches: app.SavedSearches,
		DropSearch:    app.DropSearch,

		NewKey:      app.ChangeSigningKey,
		RotateKeys:  app.RotateKeys,
		EscrowKeys:  app.EscrowKeys,
		MoveKeys:    app.MoveKeys,
		RestoreKeys: app.RestoreKeys,
		Demo:        app.Demo,
	}
}
