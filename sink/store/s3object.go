package store

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/mailkeep/mailkeep/mail"
)

// The headers that tell what S3 knows of an object, in the form of net/http.
const (
	headerMode  = "X-Amz-Object-Lock-Mode"
	headerUntil = "X-Amz-Object-Lock-Retain-Until-Date"
	headerHold  = "X-Amz-Object-Lock-Legal-Hold"
)

// sumKey is the user metadata that says the SHA-256, in hexadecimal: not all stores
// tell the checksum that they were sent.
const sumKey = "Mailkeep-Sha256"

// PutIfAbsent implements Store.
func (s *S3) PutIfAbsent(ctx context.Context, name string, c Content, r Retention) (Object, error) {
	if err := checkName(name); err != nil {
		return Object{}, err
	}
	o := putOptions(c.Sum)
	o.SetMatchETagExcept("*")
	if r.Mode != None {
		o.Mode, o.RetainUntilDate = minio.RetentionMode(strings.ToUpper(string(r.Mode))), r.Until
	}
	info, err := s.put(ctx, name, c, o)
	if mail.KindOf(err) == mail.InUse {
		return s.settle(ctx, name, c, r)
	}
	if err != nil {
		return Object{}, err
	}
	// What it answered is not enough: there are stores that take a retention and
	// forget it.
	return s.confirm(ctx, Ref{Name: name, Version: info.VersionID}, c, r)
}

func putOptions(sum mail.Digest) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		UserMetadata: map[string]string{
			"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum[:]),
			sumKey:                  sum.String(),
		},
		DisableMultipart: true,
		// The SHA-256 of the whole is signed instead of one for each chunk.
		DisableContentSha256: true,
	}
}

// put sends the content in one request. If it is repeated and the first one had
// arrived, the store answers mail.InUse.
func (s *S3) put(ctx context.Context, name string, c Content, o minio.PutObjectOptions) (minio.UploadInfo, error) {
	ctx, cancel := s.limit(ctx, c.Size)
	defer cancel()
	info, err := s.core.PutObject(ctx, s.bucket, s.key(name), io.NewSectionReader(c, 0, c.Size), c.Size, "", c.Sum.String(), o)
	return info, classifyS3(ctx, "put "+name, err)
}

// settle is for a name that is taken: perhaps by ourselves, before we lost the
// answer or died.
func (s *S3) settle(ctx context.Context, name string, c Content, r Retention) (Object, error) {
	o, err := s.Stat(ctx, Ref{Name: name})
	if err != nil {
		return o, err
	}
	if o.Size != c.Size || o.Sum != c.Sum {
		return o, taken(s, name)
	}
	if !o.Retention.Covers(r) {
		if o, err = s.ExtendRetention(ctx, o.Ref, r); err != nil {
			return o, err
		}
	}
	return o, o.agrees(c, r)
}

func (s *S3) confirm(ctx context.Context, ref Ref, c Content, r Retention) (Object, error) {
	o, err := s.Stat(ctx, ref)
	if err != nil {
		return o, err
	}
	return o, o.agrees(c, r)
}

// Stat implements Store.
func (s *S3) Stat(ctx context.Context, ref Ref) (Object, error) {
	if err := checkName(ref.Name); err != nil {
		return Object{}, err
	}
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	info, err := s.core.StatObject(ctx, s.bucket, s.key(ref.Name), minio.StatObjectOptions{VersionID: ref.Version})
	if err != nil {
		err = classifyS3(ctx, "stat "+ref.String(), err)
		if mail.KindOf(err) == mail.NotFound {
			err = noObject(s, ref)
		}
		return Object{}, err
	}
	return s.object(ref, info)
}

func (s *S3) object(ref Ref, info minio.ObjectInfo) (Object, error) {
	o := Object{Ref: ref, Size: info.Size, Stored: info.LastModified, Hold: strings.EqualFold(info.Metadata.Get(headerHold), "ON")}
	if info.VersionID != "" {
		o.Version = info.VersionID
	}
	if text := info.Metadata.Get("X-Amz-Meta-" + sumKey); text != "" {
		sum, err := mail.ParseDigest(text)
		if err != nil {
			return o, mail.Errorf(mail.Corrupt, "the store tells no SHA-256 of %s: %w", ref, err)
		}
		o.Sum = sum
	}
	mode, date := info.Metadata.Get(headerMode), info.Metadata.Get(headerUntil)
	if mode == "" && date == "" {
		return o, nil
	}
	until, err := time.Parse(time.RFC3339, date)
	o.Retention = Retention{Mode: Mode(strings.ToLower(mode)), Until: until}
	if err != nil || o.Retention.Mode.strength() == 0 {
		return o, mail.Errorf(mail.Invalid, "the store tells the retention of %s as %.40q, %.40q", ref, mode, date)
	}
	return o, nil
}

// GetRange implements Store. The time limit counts until Close.
func (s *S3) GetRange(ctx context.Context, ref Ref, off, n int64) (io.ReadCloser, error) {
	if err := checkName(ref.Name); err != nil {
		return nil, err
	}
	if n == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	o := minio.GetObjectOptions{VersionID: ref.Version}
	switch {
	case n > 0:
		if err := o.SetRange(off, off+n-1); err != nil {
			return nil, mail.Errorf(mail.Invalid, "%w", err)
		}
	case off > 0:
		if err := o.SetRange(off, 0); err != nil {
			return nil, mail.Errorf(mail.Invalid, "%w", err)
		}
	}
	most := n
	if n < 0 {
		most = wholeObject
	}
	ctx, cancel := s.limit(ctx, most)
	body, _, _, err := s.core.GetObject(ctx, s.bucket, s.key(ref.Name), o)
	if err != nil {
		defer cancel()
		err = classifyS3(ctx, "get "+ref.String(), err)
		if mail.KindOf(err) == mail.NotFound {
			err = noObject(s, ref)
		}
		return nil, err
	}
	return &answer{ctx: ctx, cancel: cancel, body: body, doing: "get " + ref.String()}, nil
}

// wholeObject is how large an object may be whose size was not asked.
const wholeObject = 5 << 30

// An answer is the body of a GET.
type answer struct {
	ctx    context.Context
	cancel context.CancelFunc
	body   io.ReadCloser
	doing  string
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = classifyS3(a.ctx, a.doing, err)
	}
	return n, err
}

func (a *answer) Close() error {
	a.cancel()
	return a.body.Close()
}

// ExtendRetention implements Store.
func (s *S3) ExtendRetention(ctx context.Context, ref Ref, r Retention) (Object, error) {
	o, err := s.Stat(ctx, ref)
	if err != nil || o.Retention.Covers(r) {
		return o, err
	}
	want := o.Retention.extended(r)
	if err := s.putRetention(ctx, o.Ref, want, false); err != nil {
		return o, err
	}
	after, err := s.Stat(ctx, o.Ref)
	if err == nil {
		err = after.agrees(Content{Size: o.Size, Sum: o.Sum}, want)
	}
	return after, err
}

// putRetention sets the retention; the zero one is none.
func (s *S3) putRetention(ctx context.Context, ref Ref, r Retention, bypass bool) error {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	o := minio.PutObjectRetentionOptions{VersionID: ref.Version, GovernanceBypass: bypass}
	if r.Mode != None {
		o.Mode, o.RetainUntilDate = new(minio.RetentionMode(strings.ToUpper(string(r.Mode)))), new(r.Until.UTC())
	}
	return classifyS3(ctx, "set the retention of "+ref.String(), s.core.PutObjectRetention(ctx, s.bucket, s.key(ref.Name), o))
}

// SetHold implements Store.
func (s *S3) SetHold(ctx context.Context, ref Ref, on bool) error {
	o, err := s.Stat(ctx, ref)
	if err != nil {
		return err
	}
	status := minio.LegalHoldDisabled
	if on {
		status = minio.LegalHoldEnabled
	}
	if err := s.putHold(ctx, o.Ref, status); err != nil {
		return err
	}
	after, err := s.Stat(ctx, o.Ref)
	if err == nil && after.Hold != on {
		err = mail.Errorf(mail.Invalid, "the store was told the legal hold of %s, and tells another", ref)
	}
	return err
}

func (s *S3) putHold(ctx context.Context, ref Ref, status minio.LegalHoldStatus) error {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	err := s.core.PutObjectLegalHold(ctx, s.bucket, s.key(ref.Name), minio.PutObjectLegalHoldOptions{Status: &status, VersionID: ref.Version})
	return classifyS3(ctx, "set the hold of "+ref.String(), err)
}

// DeleteVersion implements Store. A hold is looked at here too: there are stores
// that forget it when the retention is over.
func (s *S3) DeleteVersion(ctx context.Context, ref Ref) error {
	o, err := s.Stat(ctx, ref)
	if err != nil {
		return err
	}
	if o.Hold {
		return mail.Errorf(mail.Denied, "%s is under legal hold", ref)
	}
	return s.remove(ctx, o.Ref, false)
}

func (s *S3) remove(ctx context.Context, ref Ref, bypass bool) error {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	err := s.core.RemoveObject(ctx, s.bucket, s.key(ref.Name), minio.RemoveObjectOptions{VersionID: ref.Version, GovernanceBypass: bypass})
	return classifyS3(ctx, "delete "+ref.String(), err)
}

// List implements Store.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		o := minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, WithVersions: true}
		for info := range s.core.Client.ListObjectsIter(ctx, s.bucket, o) {
			if info.Err != nil {
				yield(Object{}, classifyS3(ctx, "list "+prefix, info.Err))
				return
			}
			if info.IsDeleteMarker {
				continue
			}
			ref := Ref{Name: strings.TrimPrefix(info.Key, s.prefix), Version: info.VersionID}
			if !yield(Object{Ref: ref, Size: info.Size, Stored: info.LastModified}, nil) {
				return
			}
		}
	}
}

// Replace implements Store.
func (s *S3) Replace(ctx context.Context, name string, data []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	c := contentOf(data)
	_, err := s.put(ctx, name, c, putOptions(c.Sum))
	return err
}

func (s *S3) attackDelete(ctx context.Context, ref Ref) error {
	err := s.remove(ctx, ref, false)
	return errors.Join(err, s.remove(ctx, ref, true))
}

func (s *S3) attackShorten(ctx context.Context, ref Ref, r Retention) error {
	err := s.putRetention(ctx, ref, r, false)
	return errors.Join(err, s.putRetention(ctx, ref, r, true))
}

func (s *S3) attackOverwrite(ctx context.Context, name string, data []byte) error {
	return s.Replace(ctx, name, data)
}
