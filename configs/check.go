package configs

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A checking holds the state of validate.
type checking struct {
	*loading
	config *Config
}

// fault records a fault at the place where key is written.
func (k *checking) fault(key, text, hint string) {
	if k.broken[key] {
		return
	}
	k.broken[key] = true
	k.faults = append(k.faults, k.at(key, text, hint))
}

// warn records a warning at the place where key is written.
func (k *checking) warn(key, text, hint string) {
	k.config.Warnings = append(k.config.Warnings, k.at(key, text, hint))
}

func (k *checking) at(key, text, hint string) Fault {
	p := k.origins.of(key)
	return Fault{Where: p.where, Key: key, Problem: text, Hint: hint, line: p.line}
}

// within records a fault unless least <= v <= most; show prints a limit.
func within[T cmp.Ordered](k *checking, key string, v, least, most T) {
	if v < least || v > most {
		k.fault(key, fmt.Sprintf("%v is not between %v and %v", v, least, most), "")
	}
}

const (
	mib = Size(1) << 20
	gib = Size(1) << 30
	tib = Size(1) << 40

	second = Duration(time.Second)
	minute = Duration(time.Minute)
	hour   = Duration(time.Hour)
)

// values checks the limits of single values.
func (k *checking) values() {
	c := k.config
	within(k, "partitions", c.Partitions, 1, 1024)
	within(k, "archive.segment_size", c.Archive.SegmentSize, mib, 4*gib)
	within(k, "nats.max_store", c.NATS.MaxStore, 64*mib, 64*tib)
	within(k, "nats.queue_bytes", c.NATS.QueueBytes, 16*mib, 64*tib)
	within(k, "nats.lease", c.NATS.Lease, 2*second, 10*minute)
	within(k, "poll.interval", c.Poll.Interval, second, 30*24*hour)
	within(k, "poll.jitter", c.Poll.Jitter, 0, 50)
	interval := c.Poll.Interval
	if _, written := k.origins["poll.interval"]; !written {
		interval = 0
	}
	k.timing("poll", timing{interval, c.Poll.Schedule, c.Poll.Timezone, c.Poll.DailyLimit})
	within(k, "poll.max_sessions", c.Poll.MaxSessions, 1, 10_000)
	within(k, "poll.per_host", c.Poll.PerHost, 1, 1000)
	within(k, "poll.logins_per_minute", c.Poll.LoginsPerMinute, 1, 60_000)
	within(k, "poll.window", c.Poll.Window, 1, 64)
	within(k, "poll.batch_messages", c.Poll.BatchMessages, 1, 10_000)
	within(k, "poll.batch_size", c.Poll.BatchSize, mib, 64*gib)
	within(k, "poll.batch_time", c.Poll.BatchTime, 10*second, hour)
	within(k, "poll.delete_age", c.Poll.DeleteAge, hour, 3650*24*hour)
	within(k, "poll.max_doubt", c.Poll.MaxDoubt, 1, 10_000)
	within(k, "poll.max_doubt_percent", c.Poll.MaxDoubtPercent, 1, 100)
	within(k, "poll.stop_grace", c.Poll.StopGrace, 0, 10*minute)
	within(k, "message.max_size", c.Message.MaxSize, mib, 16*gib)
	within(k, "search.max_limit", c.Search.MaxLimit, 1, 200)
	within(k, "search.timeout", c.Search.Timeout, second, 10*minute)
	within(k, "search.alert_timeout", c.Search.AlertTimeout, second, 10*minute)
	if c.Poll.PerHost > c.Poll.MaxSessions {
		k.fault("poll.per_host", fmt.Sprintf("%d sessions to one host are more than poll.max_sessions, %d, allows in all",
			c.Poll.PerHost, c.Poll.MaxSessions), "lower per_host or raise max_sessions")
	}
}

func (k *checking) archive() {
	a := k.config.Archive
	if a.Dir == "" {
		k.fault("archive.dir", "is empty", "name a directory on a local disk")
	}
	if fi, err := os.Stat(a.Dir); err == nil && !fi.IsDir() {
		k.fault("archive.dir", quote(a.Dir)+" is not a directory", "name a directory on a local disk")
	}
}

func (k *checking) nats() {
	n := k.config.NATS
	if n.URL == "" {
		k.embedded(n)
	} else {
		for u := range strings.SplitSeq(n.URL, ",") {
			k.natsURL(strings.TrimSpace(u))
		}
	}
	if (n.CertFile == "") != (n.KeyFile == "") {
		set := "nats.cert_file"
		if n.CertFile == "" {
			set = "nats.key_file"
		}
		k.fault(set, "certificate and key are needed together", "set nats.cert_file and nats.key_file")
	}
	if !slices.Contains([]int{1, 3, 5}, n.Replicas) {
		k.fault("nats.replicas", fmt.Sprintf("%d is not 1, 3 or 5", n.Replicas), "")
	}
	k.authorities("nats.ca_file", n.CAFile)
	k.readable("nats.cert_file", n.CertFile)
	k.readable("nats.key_file", n.KeyFile)
	k.readable("nats.credentials_file", n.CredentialsFile)
	if n.QueueBytes < k.config.Message.MaxSize {
		k.fault("nats.queue_bytes", fmt.Sprintf("%s is less than message.max_size, %s: the largest message could never pass",
			n.QueueBytes, k.config.Message.MaxSize), "raise queue_bytes or lower max_size")
	}
}

// embedded checks what only makes sense without, or with, an external cluster.
func (k *checking) embedded(n NATS) {
	for key, v := range map[string]string{
		"nats.credentials_file": n.CredentialsFile, "nats.ca_file": n.CAFile,
		"nats.cert_file": n.CertFile, "nats.key_file": n.KeyFile,
	} {
		if v != "" {
			k.fault(key, "has no meaning for the embedded server", "set nats.url or remove it")
		}
	}
	if need := 2*n.QueueBytes + n.MaxStore/16 + 16*mib; need > n.MaxStore {
		k.fault("nats.max_store", fmt.Sprintf("%s is less than the %s that the queue, the chunks of large messages and the mailboxes' state may take", n.MaxStore, need),
			"raise max_store to about 2.5 times queue_bytes, or lower queue_bytes")
	}
	if n.Replicas > 1 {
		k.fault("nats.replicas", "the embedded server keeps one copy", "set nats.url or replicas: 1")
	}
	if n.QueueBytes > n.MaxStore {
		k.fault("nats.queue_bytes", fmt.Sprintf("%s is more than nats.max_store, %s", n.QueueBytes, n.MaxStore),
			"lower queue_bytes or raise max_store")
	}
}

func (k *checking) natsURL(s string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
		k.fault("nats.url", "not a NATS URL", "write nats://host:4222 or tls://host:4222")
	case u.User != nil:
		k.fault("nats.url", "a URL must not carry a password", "use nats.credentials_file")
	}
}

func (k *checking) http() {
	listen := k.config.HTTP.Listen
	if listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(listen)
	if _, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil {
		k.fault("http.listen", quote(listen)+" is not host:port", "write :8025 or 127.0.0.1:8025")
	}
}

// readable records a fault if the file is named and cannot be read.
func (k *checking) readable(key, file string) []byte {
	if file == "" || k.broken[key] {
		return nil
	}
	b, p := readFile(file)
	if p != nil {
		k.fault(key, quote(file)+" "+p.text, p.hint)
	}
	return b
}

// authorities records a fault if the file is named and holds no certificate.
func (k *checking) authorities(key, file string) {
	b := k.readable(key, file)
	if b != nil && !x509.NewCertPool().AppendCertsFromPEM(b) {
		k.fault(key, quote(file)+" holds no certificate", "name a file of certificates in PEM")
	}
}
