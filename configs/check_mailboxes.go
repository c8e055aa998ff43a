package configs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

func (k *checking) hosts() {
	for _, name := range slices.Sorted(maps.Keys(k.config.Hosts)) {
		k.host(join("hosts", name), name, k.config.Hosts[name])
	}
}

func (k *checking) host(key, name string, h Host) {
	addressKey := join(key, "address")
	if h.Address == "" {
		addressKey = key
	}
	if _, p := withPort(cmp.Or(h.Address, name), cmp.Or(h.Security, SecurityTLS)); p != nil {
		k.fault(addressKey, p.text, p.hint)
	}
	k.plain(key, h.Security, h.AllowPlain)
	k.authorities(join(key, "ca_file"), h.CAFile)
	k.hostAccess(key, h)
	k.timing(key, timing{h.Interval, h.Schedule, h.Timezone, h.DailyLimit})
	k.overrides(key, overrides{h.Interval, h.Window, h.BatchMessages, h.BatchSize})
	k.deletion(key, deletion{h.DeleteAge, h.MaxDoubt, h.MaxDoubtPercent})
	if h.PerHost != 0 {
		within(k, join(key, "per_host"), h.PerHost, 1, 1000)
	}
	if h.LoginsPerMinute != 0 {
		within(k, join(key, "logins_per_minute"), h.LoginsPerMinute, 1, 60_000)
	}
	if h.NoPipelining && h.Window > 1 {
		k.fault(join(key, "window"), "contradicts no_pipelining", "remove one of them")
	}
}

// overrides are the values of "poll" that hosts and mailboxes repeat; zero is
// unset.
type overrides struct {
	interval      Duration
	window        int
	batchMessages int
	batchSize     Size
}

func (k *checking) overrides(key string, o overrides) {
	if o.interval != 0 {
		within(k, join(key, "interval"), o.interval, second, 30*24*hour)
	}
	if o.window != 0 {
		within(k, join(key, "window"), o.window, 1, 64)
	}
	if o.batchMessages != 0 {
		within(k, join(key, "batch_messages"), o.batchMessages, 1, 10_000)
	}
	if o.batchSize != 0 {
		within(k, join(key, "batch_size"), o.batchSize, mib, 64*gib)
	}
}

// plain refuses a connection in the clear that was not agreed to.
func (k *checking) plain(key, security string, allowed bool) {
	if security == SecurityPlain && !allowed {
		k.fault(join(key, "security"), "plain sends the password and all mail in the clear",
			"use tls or stls, or agree with allow_plain: true")
	}
}

// mailboxes checks each mailbox, and that no two are the same.
func (k *checking) mailboxes() {
	names := make(map[string]string, len(k.config.Mailboxes))
	logins := make(map[[2]string]string, len(k.config.Mailboxes))
	for i := range k.config.Mailboxes {
		m := &k.config.Mailboxes[i]
		if k.broken[m.key] {
			continue
		}
		k.mailbox(m)
		k.unique(m, names, logins)
	}
}

func (k *checking) mailbox(m *Mailbox) {
	nameKey := join(m.key, "name")
	if p := checkName(m.Name); p != nil {
		k.fault(nameKey, "the mailbox's name "+p.text, p.hint)
	}
	_, h := k.config.hostOf(m)
	k.mailboxHost(m, h)
	k.plain(m.key, m.Security, m.AllowPlain || h.AllowPlain)
	k.authorities(join(m.key, "ca_file"), m.CAFile)
	k.mailboxAccess(m, h)
	k.timing(m.key, timing{m.Interval, m.Schedule, m.Timezone, m.DailyLimit})
	k.overrides(m.key, overrides{m.Interval, m.Window, m.BatchMessages, m.BatchSize})
	k.deletion(m.key, deletion{m.DeleteAge, m.MaxDoubt, m.MaxDoubtPercent})
	k.consuming(m)
	k.envelope(m)
	if h.NoPipelining && m.Window > 1 {
		k.fault(join(m.key, "window"), "contradicts no_pipelining of its host", "remove one of them")
	}
	if k.config.oauthOf(m, h) == "" {
		k.password(m)
	}
}

// mailboxHost checks the server that m names itself; entries of "hosts" are
// checked once, where they stand.
func (k *checking) mailboxHost(m *Mailbox, h Host) {
	key := join(m.key, "host")
	if m.Host == "" {
		k.fault(key, "the mailbox's host is missing", "name an entry of hosts, or host:port of the server")
		return
	}
	if _, known := k.config.Hosts[m.Host]; known {
		return
	}
	if _, p := withPort(m.Host, cmp.Or(m.Security, h.Security, SecurityTLS)); p != nil {
		k.fault(key, p.text, p.hint)
		return
	}
	if near := nearest(m.Host, slices.Sorted(maps.Keys(k.config.Hosts))); near != "" {
		k.warn(key, quote(m.Host)+" is taken as the address of a server, for hosts has no such entry",
			fmt.Sprintf("did you mean %s?", near))
	}
}

// password sets the secret of m and checks that it can be read.
func (k *checking) password(m *Mailbox) {
	if k.broken[join(m.key, "password")] {
		return
	}
	m.secret = k.secret(m.key, "password", m.PasswordFile, m.PasswordEnv)
	if m.secret.IsZero() {
		k.fault(join(m.key, "password_file"), "the mailbox has no password", "set password_file or password_env")
	}
}

// secret returns the secret that the keys name_file and name_env of a section
// refer to, and checks that it can be read; zero if neither is set.
func (k *checking) secret(key, name, file, env string) Secret {
	fileKey, envKey := join(key, name+"_file"), join(key, name+"_env")
	s := k.config.secretIn(file, env)
	switch {
	case k.broken[fileKey] || k.broken[envKey]:
	case file != "" && env != "":
		k.fault(envKey, name+"_file is set too", "remove one of them")
	case s.IsZero() || k.sources.SkipSecrets:
	default:
		k.reveal(s, fileKey, envKey)
	}
	return s
}

// reveal checks that a secret can be read.
func (k *checking) reveal(s Secret, fileKey, envKey string) {
	_, err := s.Reveal()
	switch {
	case err != nil && s.file == "":
		k.fault(envKey, secretProblem(s, err), "set it in the environment of mailkeep")
	case err != nil:
		k.fault(fileKey, secretProblem(s, err), "check the name and the permissions")
	case s.file != "":
		k.secretMode(fileKey, s.file)
	}
}

// secretProblem words an error of Reveal for a fault.
func secretProblem(s Secret, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return s.Source() + " does not exist"
	}
	return strings.TrimPrefix(err.Error(), "secret: ")
}

// secretMode warns of a password file that others may read.
func (k *checking) secretMode(key, file string) {
	fi, err := os.Stat(file)
	if err != nil {
		return
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		k.warn(key, fmt.Sprintf("%s can be read by others (mode %04o)", quote(file), mode), "chmod 600 it")
	}
}

// unique refuses a name that is taken, and a login that is drained twice: two
// mailboxes on one maildrop would each wait for what the other deletes.
func (k *checking) unique(m *Mailbox, names map[string]string, logins map[[2]string]string) {
	if first, taken := names[m.Name]; taken && m.Name != "" {
		k.fault(join(m.key, "name"), quote(m.Name)+" is the name of another mailbox, at "+k.origins.of(first).where,
			"give each mailbox a name of its own")
		return
	}
	names[m.Name] = m.key
	r := k.config.resolve(m)
	login := [2]string{r.Address, r.User}
	if first, taken := logins[login]; taken && m.Host != "" && r.User != "" {
		k.fault(join(m.key, "user"), quote(r.User)+" at "+r.Address+" is drained already, by the mailbox at "+k.origins.of(first).where,
			"remove one of the two")
		return
	}
	logins[login] = m.key
}
