package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// Store is the section "store".
type Store struct {
	// Where sealed segments are copied to: s3, a bucket with Object Lock; dir, a
	// directory, such as that of a write-once appliance; none, nowhere.
	Kind string `koanf:"kind" enum:"none,s3,dir" default:"none"`
	// When mail counts as sealed. spool: when it is on the disk of archive.dir, from
	// where sealed segments are copied to the store. direct: when it is in the store;
	// archive.dir may vanish at any moment, as that of a container does.
	Mode string `koanf:"mode" enum:"spool,direct" default:"spool"`
	// For mode: direct.
	Direct Direct `koanf:"direct"`
	// The directory, for kind: dir.
	Dir string `koanf:"dir" kind:"path"`
	// What is asked of the store. At each start mailkeep tries to delete, shorten and
	// overwrite an object there. required: it does not start if that succeeds or
	// cannot be tried; preferred: it says so in log and status; off: it is not tried.
	WORM string `koanf:"worm" enum:"required,preferred,off" default:"preferred"`
	// Sets the immutable flag of the file system on what is in "dir". It takes the
	// capability CAP_LINUX_IMMUTABLE.
	Immutable bool `koanf:"immutable"`
	// How long a sealed segment that is stored stays in the archive's directory too.
	// After that it is read from the store. 0: for good.
	KeepLocal Duration `koanf:"keep_local" default:"30d"`
	// A segment is sealed, and so stored, when it is this old, however small. 0: when
	// it reaches archive.segment_size.
	SealAfter Duration `koanf:"seal_after" default:"1h"`
	// For how long the store must refuse to delete.
	Retention Retention `koanf:"retention"`
	// The bucket, for kind: s3.
	S3 S3 `koanf:"s3"`
}

// Direct is the section "store.direct".
type Direct struct {
	// What is put into the store at once: as much mail as this, or a larger message
	// alone. It is held in memory.
	MaxBytes Size `koanf:"max_bytes" default:"8MiB"`
	// Least time between two such objects, unless one is full before. A message that
	// comes after a pause is stored at once; while mail keeps coming, it waits so long
	// for its receipt.
	Linger Duration `koanf:"linger" default:"2s"`
}

// Retention is the section "store.retention".
type Retention struct {
	// compliance: nobody can delete before the date, the owner of the account
	// included. governance: those who have a right of its own can. none: no date.
	Mode string `koanf:"mode" enum:"compliance,governance,none" default:"compliance"`
	// For how long, in years of the calendar or in days: 6y, 90d. A longer period is
	// told to the store for what it has already; a shorter one never is.
	Period string `koanf:"period" default:"6y"`
	// When the period begins: when mail was received, or with the end of that year.
	Start string `koanf:"start" enum:"received,end-of-year" default:"received"`
}

// S3 is the section "store.s3".
type S3 struct {
	// URL of the store, such as https://s3.eu-central-1.amazonaws.com.
	Endpoint string `koanf:"endpoint"`
	// Its region. Empty: the store is asked.
	Region string `koanf:"region"`
	// The bucket. It must have been made with Object Lock.
	Bucket string `koanf:"bucket"`
	// Put before the names of objects. Each archive needs one of its own.
	Prefix string `koanf:"prefix" default:"mailkeep"`
	// Makes the bucket, with Object Lock, if it is missing.
	CreateBucket bool `koanf:"create_bucket"`
	// Another bucket, without versions and without Object Lock, for copies of the key
	// files of an encrypted archive. In a bucket that keeps versions, keys could not be
	// destroyed. Empty: they are not copied.
	KeysBucket string `koanf:"keys_bucket"`
	// File that holds the access key.
	AccessKeyFile string `koanf:"access_key_file" kind:"path"`
	// Environment variable that holds it.
	AccessKeyEnv string `koanf:"access_key_env"`
	// File that holds the secret key.
	SecretKeyFile string `koanf:"secret_key_file" kind:"path"`
	// Environment variable that holds it.
	SecretKeyEnv string `koanf:"secret_key_env"`
	// Certificate authorities, in PEM, for the store. Empty: the system's.
	CAFile string `koanf:"ca_file" kind:"path"`
	// Names the bucket in the path and not in the host, as most stores beside AWS
	// want it.
	PathStyle bool `koanf:"path_style"`
	// Agrees to an endpoint of http: mail and its keys cross the network in the clear.
	AllowPlain bool `koanf:"allow_plain"`
	// Longest wait for the answer to one request.
	Timeout Duration `koanf:"timeout" default:"30s"`
}

// Length returns the period as years of the calendar and days.
func (r Retention) Length() (years, days int, err error) { return periodOf(r.Period) }

func periodOf(period string) (years, days int, err error) {
	text, unit := strings.TrimSpace(period), ""
	for _, u := range []string{"y", "d"} {
		if n, ok := strings.CutSuffix(text, u); ok {
			text, unit = n, u
		}
	}
	n, err := strconv.ParseUint(text, 10, 16)
	switch {
	case err != nil || unit == "":
		return 0, 0, fmt.Errorf("%q is not a period such as 6y or 90d", clip(period))
	case unit == "y" && n >= 1 && n <= 100:
		return int(n), 0, nil
	case unit == "d" && n >= 1 && n <= 36500:
		return 0, int(n), nil
	}
	return 0, 0, fmt.Errorf("%q is not between 1d and 100y", clip(period))
}

// StoreKeys returns where the access key and the secret key of the store are kept.
func (c *Config) StoreKeys() (access, secret Secret) {
	s := c.Store.S3
	return c.secretIn(s.AccessKeyFile, s.AccessKeyEnv), c.secretIn(s.SecretKeyFile, s.SecretKeyEnv)
}

// store checks where segments are copied to.
func (k *checking) store() {
	s := k.config.Store
	within(k, "store.keep_local", s.KeepLocal, 0, maxDuration)
	within(k, "store.seal_after", s.SealAfter, 0, 30*24*hour)
	within(k, "store.s3.timeout", s.S3.Timeout, second, 10*minute)
	if _, _, err := s.Retention.Length(); err != nil {
		k.fault("store.retention.period", err.Error(), "write 6y or 90d")
	}
	switch s.Kind {
	case "dir":
		if s.Dir == "" {
			k.fault("store.dir", "is missing", "name the directory")
		}
	case "s3":
		k.bucket(s.S3)
	}
	if s.Mode == "direct" {
		k.direct(s)
	}
	if s.Immutable && s.Kind != "dir" {
		k.fault("store.immutable", "it is for kind: dir", "set store.kind: dir or remove it")
	}
	if s.Kind != "none" && s.WORM == "required" && s.Retention.Mode == "none" {
		k.fault("store.worm", "nothing is write-once without a retention", "set store.retention.mode, or worm: preferred")
	}
}

// IsDirect reports whether mail counts as sealed when it is in the store, and not
// before.
func (c *Config) IsDirect() bool { return c.Store.Mode == "direct" }

func (k *checking) bucket(s S3) {
	k.webURL("store.s3.endpoint", s.Endpoint)
	if strings.HasPrefix(s.Endpoint, "http://") && !s.AllowPlain {
		k.fault("store.s3.endpoint", "mail would cross the network in the clear", "write https://, or agree with store.s3.allow_plain: true")
	}
	if s.Bucket == "" {
		k.fault("store.s3.bucket", "is missing", "name the bucket")
	}
	if s.KeysBucket != "" && s.KeysBucket == s.Bucket {
		k.fault("store.s3.keys_bucket", "is the bucket of the segments, where keys cannot be destroyed", "name a bucket without versions")
	}
	for _, one := range []struct{ name, file, env string }{
		{"access_key", s.AccessKeyFile, s.AccessKeyEnv}, {"secret_key", s.SecretKeyFile, s.SecretKeyEnv},
	} {
		if k.secret("store.s3", one.name, one.file, one.env).IsZero() && !k.broken["store.s3."+one.name] {
			k.fault("store.s3."+one.name+"_file", "is missing", "set "+one.name+"_file or "+one.name+"_env")
		}
	}
	k.authorities("store.s3.ca_file", s.CAFile)
}
