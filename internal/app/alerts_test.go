package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// TestAlerts: what is new to a saved search is told once it is indexed, in every
// partition, and again until it was delivered; what was told is not told again.
func TestAlerts(t *testing.T) {
	p := newPlant(t, 4, "partitions: 2", "anna", "bela", "carl", "dora", "emil", "fritz")
	p.drain(t)
	late, err := SaveSearch(t.Context(), p.config, mail.SavedSearch{Name: "late", Query: "everywhere", Alert: true}, console(t))
	if err != nil || len(late.From) != 2 || late.From[0]+late.From[1] == 0 {
		t.Fatalf("%+v, %v", late, err)
	}
	c := p.open(t)
	defer closeOK(t, c)
	parts, err := c.offline()
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.dir.savedFiles()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := files.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range []mail.SavedSearch{
		{Name: "all", Query: "everywhere", Alert: true}, {Name: "carl", Query: "wordcarl", Alert: true},
		{Name: "quiet", Query: "everywhere"}, {Name: "bad", Query: "on:2024-13", Alert: true},
	} {
		s.Created = time.Now().UTC()
		if err := files.put(s); err != nil {
			t.Fatal(err)
		}
	}
	got, failures := map[string]uint64{}, 0
	fail := errors.New("no")
	w := &alerter{
		files: files, parts: parts, late: map[lateKey]lateness{}, log: slog.New(slog.DiscardHandler),
		deliver: func(_ context.Context, a mail.Alert) error {
			if uint64(len(a.Hits)) != a.Total || a.From >= a.To {
				t.Errorf("%+v", a)
			}
			got[a.Search.Name] += a.Total
			return fail
		},
		told: func(_ string, _ uint64, err error) {
			if err != nil {
				failures++
			}
		},
	}
	pass := func(all, carl uint64, failed int) {
		t.Helper()
		clear(got)
		failures = 0
		if err := w.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got["all"] != all || got["carl"] != carl || got["late"]+got["quiet"]+got["bad"] != 0 || failures != failed {
			t.Errorf("%v, %d failures", got, failures)
		}
	}
	pass(24, 4, 5) // the query that cannot be read fails for both partitions
	pass(24, 4, 5)
	fail = nil
	pass(24, 4, 2)
	pass(0, 0, 2)
	// We die after it was delivered, before that is noted.
	if err := os.Remove(filepath.Join(c.dir.Path, savedDir, "carl.told")); err != nil {
		t.Fatal(err)
	}
	pass(0, 4, 2)
	// One that cannot be read keeps the others from nothing.
	broken := filepath.Join(c.dir.Path, savedDir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.pass(t.Context()); mail.KindOf(err) != mail.Corrupt {
		t.Errorf("a search that cannot be read: %v", err)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	// What another search of that name was told does not count for this one.
	if err := files.put(mail.SavedSearch{Name: "carl", Query: "wordcarl", Alert: true, Created: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	pass(0, 4, 2)
}

func TestSavedSearches(t *testing.T) {
	p := newPlant(t, 1, "", "anna")
	if _, err := SavedSearches(t.Context(), p.config); mail.KindOf(err) != mail.NotFound {
		t.Errorf("without an archive: %v", err)
	}
	p.drain(t)
	for _, name := range []string{"", "A", "a/b", "../x", "a..b", ".x", "x y", string(make([]byte, 65))} {
		if _, err := SaveSearch(t.Context(), p.config, mail.SavedSearch{Name: name, Query: "x"}, console(t)); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", name, err)
		}
		if err := DropSearch(t.Context(), p.config, name); mail.KindOf(err) != mail.Invalid {
			t.Errorf("drop %q: %v", name, err)
		}
	}
	if _, err := SaveSearch(t.Context(), p.config, mail.SavedSearch{Name: "b", Query: "on:2024-13"}, console(t)); mail.KindOf(err) != mail.Invalid {
		t.Errorf("a query that cannot be read: %v", err)
	}
	for _, query := range []string{"one", "two"} { // the second takes the place of the first
		if _, err := SaveSearch(t.Context(), p.config, mail.SavedSearch{Name: "a", Query: query, By: "somebody", Zone: "+02:00"}, console(t)); err != nil {
			t.Fatal(err)
		}
	}
	all, err := SavedSearches(t.Context(), p.config)
	if err != nil || len(all) != 1 || all[0].Query != "two" || all[0].By != "somebody" || all[0].Zone != "+02:00" || all[0].Created.IsZero() {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := DropSearch(t.Context(), p.config, "a"); err != nil {
		t.Fatal(err)
	}
	if err := DropSearch(t.Context(), p.config, "a"); mail.KindOf(err) != mail.NotFound {
		t.Errorf("dropped twice: %v", err)
	}
}

// The program of an alert gets JSON and no shell; what it does wrong is an error.
func TestAlertProgram(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return file
	}
	a := mail.Alert{Search: mail.SavedSearch{Name: "x"}, Total: 2, Hits: []mail.Hit{{Subject: "$(id) `id`"}}}
	out := filepath.Join(dir, "out")
	if err := runAlert(t.Context(), script("good", "cat > "+out+"; [ -z \"$HOME$1\" ]"), time.Minute, a); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	var got mail.Alert
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil || got.Total != 2 || got.Hits[0].Subject != a.Hits[0].Subject {
		t.Errorf("%s, %v", b, err)
	}
	for name, text := range map[string]string{"fails": "echo why >&2; exit 3", "hangs": "exec sleep 600"} {
		if err := runAlert(t.Context(), script(name, text), 500*time.Millisecond, a); mail.KindOf(err) != mail.Temporary || mail.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := runAlert(t.Context(), filepath.Join(dir, "absent"), time.Minute, a); err == nil {
		t.Error("a program that is not there")
	}
}
