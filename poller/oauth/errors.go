package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/mask"
)

// A Class sorts failures to get a token by what is to be done about them.
type Class uint8

// The classes.
const (
	None        Class = iota // no error, or one that is not of this package
	Credentials              // the secret or the refresh token is refused: do not try again unchanged
	Rate                     // asked too often: wait as told
	Temp                     // network or server trouble: back off
	Perm                     // the client may not do what it asks for, or is set up wrongly: a person must act
)

// String returns the class as a word.
func (c Class) String() string {
	return [...]string{"none", "credentials", "rate", "temp", "perm"}[min(int(c), 4)]
}

// Kind maps the class to the vocabulary of package mail.
func (c Class) Kind() mail.Kind {
	return [...]mail.Kind{mail.Other, mail.Denied, mail.Temporary, mail.Temporary, mail.Invalid}[min(int(c), 4)]
}

// An Error is a failure to get a token.
type Error struct {
	Class Class
	// Code is the error code of the token server (RFC 6749 section 5.2), such as
	// "invalid_grant"; or "".
	Code string
	// Status is that of the HTTP answer; 0 if there was none.
	Status int
	// Text is how the token server describes it: at most 300 octets, controls
	// removed, withheld where it repeats a secret.
	Text string
	// RetryAfter is how long the token server wants not to be asked; 0 if it does
	// not say.
	RetryAfter time.Duration
	// Err is the cause; nil if the token server's answer is all there is.
	Err error
}

// Error says what came of the request and what the token server said.
func (e *Error) Error() string {
	s := "no token"
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Status != 0 {
		s += fmt.Sprintf(": the token server answered %d", e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Text != "" {
		s += fmt.Sprintf(": %q", e.Text)
	}
	return s
}

// Unwrap returns the cause, graded with the mail.Kind of the class.
func (e *Error) Unwrap() error {
	cause := e.Err
	if cause == nil {
		cause = errors.New("refused")
	}
	return &mail.Error{Kind: e.Class.Kind(), Hint: e.hint(), Err: cause}
}

func (e *Error) hint() string {
	switch {
	case e.Code == "invalid_grant":
		return "the refresh token has ended or was withdrawn: allow the client again and store the new token"
	case e.Class == Credentials:
		return "check client_id and client secret, and whether the secret has ended"
	case e.Class == Perm:
		return "check token_url, scopes and flow, and what the client is allowed to do"
	}
	return ""
}

// ClassOf returns the class of the first *Error in err's tree, or None.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return None
}

// Error codes (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5) by what
// they mean; others count by the status of the answer.
var (
	credentialCodes = []string{"invalid_client", "invalid_grant"}
	rateCodes       = []string{"slow_down", "too_many_requests", "rate_limit_exceeded"}
	tempCodes       = []string{"temporarily_unavailable", "server_error"}
)

// failure makes the Error of a request that failed. secrets are what the request
// held.
func failure(err error, now time.Time, secrets ...string) *Error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		// Of the client or the network; what it says holds the URL at most.
		return &Error{Class: Temp, Err: errors.New(clean(err.Error(), secrets))}
	}
	e := &Error{
		Status: refused.Response.StatusCode, Code: clean(refused.ErrorCode, secrets), Text: clean(refused.ErrorDescription, secrets),
		RetryAfter: retryAfter(refused.Response.Header.Get("Retry-After"), now),
	}
	e.Class = classOf(e.Code, e.Status)
	return e
}

func classOf(code string, status int) Class {
	switch {
	case status == http.StatusTooManyRequests || slices.Contains(rateCodes, code):
		return Rate
	case slices.Contains(tempCodes, code) || status >= 500 || status == http.StatusRequestTimeout:
		return Temp
	case slices.Contains(credentialCodes, code) || status == http.StatusUnauthorized:
		return Credentials
	}
	return Perm
}

// maxRetryAfter bounds how long a token server can silence a client.
const maxRetryAfter = time.Hour

// retryAfter reads Retry-After (RFC 9110 section 10.2.3).
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// clean makes what was said fit for errors and logs.
func clean(s string, secrets []string) string {
	const most = 300
	if mask.Repeats(s, secrets...) {
		return "(withheld: it repeats a secret)"
	}
	s = strings.ToValidUTF8(s[:min(len(s), most)], "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s))
}
