package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/internal/lab"
)

// A lossClient prepares a client in a directory of its own.
type lossClient func(b *testing.B, dir, address string) draining

// A draining client runs as often as it is told, and remembers between the runs
// what it likes to.
type draining struct {
	run    func()
	stored func() [][]byte
}

// lossClients are the columns of the table.
var lossClients = []lossClient{withMpop, withFetchmail, withGetmail, withMailkeep}

// patience is what a client gets for a run: all of them have timeouts that are
// shorter.
const patience = 30 * time.Second

// runClient runs a client, whose status is its own affair.
func runClient(b *testing.B, prepare func(*exec.Cmd), name string, args ...string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	if prepare != nil {
		prepare(cmd)
	}
	out, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		b.Fatalf("%s: %v", name, err)
	}
	if testing.Verbose() {
		b.Logf("%s: %v\n%s", name, err, out)
	}
}

// fromMaildir returns what a client delivered.
func fromMaildir(b *testing.B, maildir string) func() [][]byte {
	return func() (all [][]byte) {
		files, err := filepath.Glob(filepath.Join(maildir, "new", "*"))
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, raw)
		}
		return all
	}
}

func withMpop(b *testing.B, dir, address string) draining {
	maildir := makeMaildir(b, dir)
	conf := writeConf(b, dir, "mpoprc", fmt.Sprintf("account lab\nhost 127.0.0.1\nport %s\ntls off\nauth user\nuser %s\npassword %s\nkeep off\ntimeout 5\ndelivery maildir %s\nuidls_file %s/uidls\n",
		port(address), lossBox, lab.Password, maildir, dir))
	return draining{
		run:    func() { runClient(b, nil, "mpop", "-C", conf, "lab") },
		stored: fromMaildir(b, maildir),
	}
}

// withFetchmail delivers by a script, as fetchmail has no Maildir of its own.
func withFetchmail(b *testing.B, dir, address string) draining {
	maildir := makeMaildir(b, dir)
	mda := filepath.Join(dir, "mda")
	script := fmt.Sprintf("#!/bin/sh\nset -e\nf=$(mktemp %s/tmp/XXXXXXXX)\ncat >\"$f\"\nmv \"$f\" %s/new/\n", maildir, maildir)
	if err := os.WriteFile(mda, []byte(script), 0o700); err != nil {
		b.Fatal(err)
	}
	conf := writeConf(b, dir, "fetchmailrc", fmt.Sprintf("set idfile %q\nset pidfile %q\nset no bouncemail\npoll 127.0.0.1 service %s protocol pop3 auth password timeout 5 uidl no dns user %q password %q nokeep fetchall no rewrite sslproto '' mda %q\n",
		filepath.Join(dir, "ids"), filepath.Join(dir, "pid"), port(address), lossBox, lab.Password, mda))
	return draining{
		run: func() {
			runClient(b, func(c *exec.Cmd) { c.Env = append(os.Environ(), "HOME="+dir, "FETCHMAILHOME="+dir) }, "fetchmail", "--nosyslog", "--nodetach", "-f", conf)
		},
		stored: fromMaildir(b, maildir),
	}
}

// withGetmail runs getmail6, which does not run as the superuser.
func withGetmail(b *testing.B, dir, address string) draining {
	maildir := makeMaildir(b, dir)
	writeConf(b, dir, "getmailrc", fmt.Sprintf("[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = %s\nusername = %s\npassword = %s\ntimeout = 5\n[destination]\ntype = Maildir\npath = %s/\n[options]\ndelete = true\nread_all = true\ndelivered_to = false\nreceived = false\n",
		port(address), lossBox, lab.Password, maildir))
	const nobody = 65534
	var credential *syscall.Credential
	if os.Getuid() == 0 {
		credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := giveAway(dir, nobody); err != nil {
			b.Fatal(err)
		}
	}
	return draining{
		run: func() {
			runClient(b, func(c *exec.Cmd) {
				c.Env = append(os.Environ(), "HOME="+dir)
				c.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
			}, "getmail", "-g", dir, "-r", "getmailrc")
		},
		stored: fromMaildir(b, maildir),
	}
}

func withMailkeep(b *testing.B, _, address string) draining {
	s := emptySite(b)
	s.configure(fmt.Sprintf("hosts:\n  lab: {address: %s, security: plain, allow_plain: true, logins_per_minute: 60000}\nmailboxes:\n  - {name: %s, host: lab, password_file: %q}\n",
		address, lossBox, s.password()))
	return draining{
		run: func() {
			out, err := s.command("drain", "--once").CombinedOutput()
			if testing.Verbose() {
				b.Logf("mailkeep: %v\n%s", err, tail(string(out)))
			}
		},
		stored: s.messages,
	}
}

// messages returns all messages of the archive but suspect copies, which nothing
// is deleted for.
func (s *site) messages() (all [][]byte) {
	s.t.Helper()
	for rec, raw := range s.archived() {
		b, err := io.ReadAll(raw)
		if err != nil {
			s.t.Fatal(err)
		}
		if rec.Delivery.Suspect == "" {
			all = append(all, b)
		}
	}
	return all
}
