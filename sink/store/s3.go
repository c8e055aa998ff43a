package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mailkeep/mailkeep/mail"
)

// S3Options say where a bucket is and how to get at it.
type S3Options struct {
	Endpoint string // URL, https://host[:port]; http only where AllowPlain agrees
	Region   string // empty: asked of the store
	Bucket   string
	// Prefix is put before the names of objects, without a slash at either end; empty
	// is the whole bucket.
	Prefix string
	// Secret returns the access key and the secret key; it is asked once a minute,
	// so that rotated keys take effect.
	Secret     func() (access, secret string, err error)
	AllowPlain bool
	CAFile     string // certificates in PEM; empty: the system's
	// PathStyle puts the bucket into the path and not into the host's name, which is
	// what most stores beside AWS need.
	PathStyle bool
	// Timeout is for the answer to one request, without the octets of its body; 0 is
	// 30 s.
	Timeout time.Duration
}

// slowest is how slow a transfer may be, in octets per second, before it is broken
// off; see S3.limit.
const slowest = 64 << 10

// An S3 is a Store in a bucket that has versions and Object Lock.
type S3 struct {
	core    minio.Core
	bucket  string
	prefix  string // "" or ends with a slash
	timeout time.Duration
}

var _ Store = (*S3)(nil)

// NewS3 makes a store; it does not speak to it yet. Errors are mail.Invalid.
func NewS3(o S3Options) (*S3, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, mail.Errorf(mail.Invalid, "%q is not the URL of an S3 endpoint, https://host:port", o.Endpoint)
	}
	if u.Scheme == "http" && !o.AllowPlain {
		return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s would carry mail in the clear", o.Endpoint), "Use https, or agree with store.s3.allow_plain: true.")
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	transport, err := transport(o)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.New(&provider{secret: o.Secret}), Secure: u.Scheme == "https", Transport: transport,
		Region: o.Region, BucketLookup: lookup,
		// The flag only allows to send a checksum that is known as a header: no trailer
		// is ever sent.
		TrailingHeaders: true,
		MaxRetries:      3,
	})
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "S3: %w", err)
	}
	s := &S3{core: *core, bucket: o.Bucket, timeout: o.Timeout}
	if p := strings.Trim(o.Prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	return s, nil
}

func transport(o S3Options) (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		b, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "certificate authorities of the store: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(b) {
			return nil, mail.Errorf(mail.Invalid, "%s holds no certificate", o.CAFile)
		}
	}
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: o.Timeout, KeepAlive: 15 * time.Second}).DialContext,

		TLSClientConfig: conf, TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
		MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		DisableCompression: true, // bytes are wanted as they are stored
	}, nil
}

// MakeBucket makes the bucket, with versions and Object Lock, if it is missing.
func (s *S3) MakeBucket(ctx context.Context) error {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	there, err := s.core.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		err = s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{ObjectLocking: true})
	}
	return classifyS3(ctx, "make the bucket "+s.bucket, err)
}

// String implements Store.
func (s *S3) String() string {
	return strings.TrimSuffix(fmt.Sprintf("s3://%s/%s", s.bucket, s.prefix), "/")
}

// limit bounds a request that moves n octets.
func (s *S3) limit(ctx context.Context, n int64) (context.Context, context.CancelFunc) {
	d := 2*s.timeout + time.Duration(n/slowest)*time.Second
	return context.WithTimeoutCause(ctx, d, mail.Errorf(mail.Temporary, "%s did not take or give %d octets within %s", s, n, d))
}

// key returns the name of an object in the bucket.
func (s *S3) key(name string) string { return s.prefix + name }

// A provider hands the credentials to the client.
type provider struct {
	secret func() (access, secret string, err error)
	until  time.Time // guarded by the lock of credentials.Credentials
}

// credentialsFresh is how long credentials are used before they are read again.
const credentialsFresh = time.Minute

// Retrieve implements credentials.Provider.
func (p *provider) Retrieve() (credentials.Value, error) { return p.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider.
func (p *provider) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	access, secret, err := p.secret()
	if err != nil {
		return credentials.Value{}, fmt.Errorf("credentials of the store: %w", err)
	}
	p.until = time.Now().Add(credentialsFresh)
	return credentials.Value{AccessKeyID: access, SecretAccessKey: secret, SignerType: credentials.SignatureV4}, nil
}

// IsExpired implements credentials.Provider.
func (p *provider) IsExpired() bool { return time.Now().After(p.until) }
