package bus_test

import (
	"testing"

	"github.com/mailkeep/mailkeep/internal/bus"
	"github.com/mailkeep/mailkeep/internal/bus/bustest"
	"github.com/mailkeep/mailkeep/mail"
)

// The queue on a server belongs to one archive and one number of partitions,
// whoever comes first and however often its limits change.
func TestQueueBelongsToOneArchive(t *testing.T) {
	server := bustest.SpawnServer(t)
	start := func(archive string, partitions int, bytes int64) error {
		t.Helper()
		o := small(t)
		o.URL, o.Archive, o.Partitions, o.RawBytes = server.URL, archive, partitions, bytes
		b, err := bus.Start(t.Context(), o)
		if err != nil {
			return err
		}
		return b.Close(t.Context())
	}
	for _, step := range []struct {
		name       string
		archive    string
		partitions int
		bytes      int64
		kind       mail.Kind
	}{
		{"a poller comes first", "", 2, 64 << 20, mail.Other},
		{"the archive", "one", 2, 64 << 20, mail.Other},
		{"the archive with other limits", "one", 2, 96 << 20, mail.Other},
		{"another archive", "two", 2, 96 << 20, mail.InUse},
		{"a poller with other partitions", "", 3, 96 << 20, mail.Invalid},
		{"a poller", "", 2, 96 << 20, mail.Other},
		{"the archive again", "one", 2, 96 << 20, mail.Other},
	} {
		err := start(step.archive, step.partitions, step.bytes)
		if mail.KindOf(err) != step.kind || (err == nil) != (step.kind == mail.Other) {
			t.Errorf("%s: %v", step.name, err)
		}
		if err != nil && mail.HintOf(err) == "" {
			t.Errorf("%s: no hint", step.name)
		}
	}
}
