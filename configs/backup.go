package configs

import "strings"

// Backup is the section "backup".
type Backup struct {
	// The store that "mailkeep backup s3://BUCKET/PREFIX" speaks to.
	S3 BackupS3 `koanf:"s3"`
}

// BackupS3 is the section "backup.s3".
type BackupS3 struct {
	// URL of the store. Empty: that of store.s3, with its credentials; a backup is
	// worth more in another place, of another account.
	Endpoint string `koanf:"endpoint"`
	// Its region. Empty: the store is asked.
	Region string `koanf:"region"`
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
	// Names the bucket in the path and not in the host.
	PathStyle bool `koanf:"path_style"`
	// Agrees to an endpoint of http: the backup crosses the network in the clear.
	AllowPlain bool `koanf:"allow_plain"`
	// Longest wait for the answer to one request.
	Timeout Duration `koanf:"timeout" default:"30s"`
}

// BackupStore returns the store of backups as a section store.s3, and where its
// access key and its secret key are kept.
func (c *Config) BackupStore() (s S3, access, secret Secret) {
	b := c.Backup.S3
	if b.Endpoint == "" {
		access, secret = c.StoreKeys()
		return c.Store.S3, access, secret
	}
	s = S3{Endpoint: b.Endpoint, Region: b.Region, CAFile: b.CAFile, PathStyle: b.PathStyle, AllowPlain: b.AllowPlain, Timeout: b.Timeout}
	return s, c.secretIn(b.AccessKeyFile, b.AccessKeyEnv), c.secretIn(b.SecretKeyFile, b.SecretKeyEnv)
}

// backup checks where backups go.
func (k *checking) backup() {
	b := k.config.Backup.S3
	within(k, "backup.s3.timeout", b.Timeout, second, 10*minute)
	if b.Endpoint == "" {
		return
	}
	k.webURL("backup.s3.endpoint", b.Endpoint)
	if strings.HasPrefix(b.Endpoint, "http://") && !b.AllowPlain {
		k.fault("backup.s3.endpoint", "mail would cross the network in the clear", "write https://, or agree with backup.s3.allow_plain: true")
	}
	for _, one := range []struct{ name, file, env string }{
		{"access_key", b.AccessKeyFile, b.AccessKeyEnv}, {"secret_key", b.SecretKeyFile, b.SecretKeyEnv},
	} {
		if k.secret("backup.s3", one.name, one.file, one.env).IsZero() && !k.broken["backup.s3."+one.name] {
			k.fault("backup.s3."+one.name+"_file", "is missing", "set "+one.name+"_file or "+one.name+"_env")
		}
	}
	k.authorities("backup.s3.ca_file", b.CAFile)
}
