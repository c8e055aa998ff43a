package store

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/mailkeep/mailkeep/mail"
)

// codes are the kinds of what S3 calls its errors. What is not here goes by the
// HTTP status.
var codes = map[string]mail.Kind{
	"NoSuchKey": mail.NotFound, "NoSuchVersion": mail.NotFound, "NoSuchBucket": mail.Invalid, "MethodNotAllowed": mail.NotFound,
	"PreconditionFailed": mail.InUse, "ConditionalRequestConflict": mail.Temporary,
	"AccessDenied": mail.Denied, "InvalidAccessKeyId": mail.Denied, "SignatureDoesNotMatch": mail.Denied, "ExpiredToken": mail.Denied,
	"ObjectLocked": mail.Denied, "RequestTimeTooSkewed": mail.Denied,
	"BadDigest": mail.Temporary, "XAmzContentSHA256Mismatch": mail.Temporary, "IncompleteBody": mail.Temporary, "RequestTimeout": mail.Temporary,
	"SlowDown": mail.Temporary, "InternalError": mail.Temporary, "ServiceUnavailable": mail.Temporary,
	"EntityTooLarge": mail.Invalid, "InvalidRequest": mail.Invalid, "NotImplemented": mail.Invalid,
	"ObjectLockConfigurationNotFoundError": mail.Invalid, "InvalidBucketState": mail.Invalid,
	"QuotaExceeded": mail.NoSpace, "XMinioStorageFull": mail.NoSpace, "XMinioAdminBucketQuotaExceeded": mail.NoSpace, "InsufficientCapacity": mail.NoSpace,
}

// hints say what to do about an error.
var hints = map[string]string{
	"NoSuchBucket":          "Make the bucket, with versioning and Object Lock, or correct store.s3.bucket.",
	"AccessDenied":          "The credentials lack a right, or retention or a hold forbids it: see the bucket policy in docs/operations.md.",
	"InvalidAccessKeyId":    "The store does not know the access key: correct the credentials of store.s3.",
	"SignatureDoesNotMatch": "The secret key is wrong, or store.s3.region is.",
	"RequestTimeTooSkewed":  "The clock of this machine is wrong: set it.",
}

// hintLock is for the words with which stores refuse Object Lock.
const hintLock = "The bucket must be made with Object Lock; it cannot be switched on everywhere afterwards."

// classifyS3 gives an error of the client its kind. ctx is that of the request.
func classifyS3(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	var e minio.ErrorResponse
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return mail.Errorf(mail.Temporary, "%s: %w", doing, context.Cause(ctx))
	case errors.As(err, &e):
		return classifyAnswer(doing, e)
	case mail.KindOf(err) != mail.Other:
		return mail.Errorf(mail.KindOf(err), "%s: %w", doing, err)
	}
	err = mail.Errorf(mail.Temporary, "%s: %w", doing, err)
	if isCertificate(err) {
		return mail.WithHint(err, "The store's certificate is not trusted: set store.s3.ca_file to the authority that signed it.")
	}
	return err
}

func isCertificate(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	return unknown || name
}

func classifyAnswer(doing string, e minio.ErrorResponse) error {
	kind, ok := codes[e.Code]
	if !ok {
		kind = kindOfStatus(e.StatusCode)
	}
	// The answer is the store's text; it is quoted, so that it cannot pose as ours.
	err := mail.Errorf(kind, "%s: the store answers %d %.60q: %.200q", doing, e.StatusCode, e.Code, e.Message)
	hint := hints[e.Code]
	if e.Code == "InvalidRequest" || e.Code == "InvalidBucketState" || e.Code == "ObjectLockConfigurationNotFoundError" {
		hint = hintLock
	}
	if hint != "" {
		return mail.WithHint(err, "%s", hint)
	}
	return err
}

func kindOfStatus(status int) mail.Kind {
	switch status {
	case http.StatusNotFound:
		return mail.NotFound
	case http.StatusPreconditionFailed:
		return mail.InUse
	case http.StatusUnauthorized, http.StatusForbidden:
		return mail.Denied
	case http.StatusInsufficientStorage:
		return mail.NoSpace
	case http.StatusBadRequest, http.StatusNotImplemented, http.StatusRequestEntityTooLarge:
		return mail.Invalid
	}
	return mail.Temporary
}
