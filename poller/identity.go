package poller

import (
	"context"
	"log/slog"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/poller/oauth"
	"github.com/mailkeep/mailkeep/poller/pop3"
)

// A TokenSource supplies the bearer tokens of a mailbox, or of many that share
// it; an oauth.Source is one. It is used by several goroutines at once. Its errors
// count by oauth.ClassOf; those that have no class there, by their mail.Kind.
type TokenSource interface {
	// Secret returns what the operator keeps for the source, as it is now: the
	// secret of the client, or the refresh token as it was configured. A mailbox
	// whose tokens are refused is left alone until it changes.
	Secret(ctx context.Context) (string, error)
	// Token returns a token that is valid for the next minutes.
	Token(ctx context.Context) (string, error)
	// Renew returns another token than one that a server has refused, or the
	// same where a new one would help no more.
	Renew(ctx context.Context, refused string) (string, error)
	// Expiry returns when the token that is held ends; zero if there is none.
	Expiry() time.Time
}

// secret returns what the credentials breaker knows the mailbox by.
func (m Mailbox) secret(ctx context.Context) (string, error) {
	what, ask := "the password", m.Password
	if m.Tokens != nil {
		what, ask = "the secret of the token source", m.Tokens.Secret
	}
	s, err := ask(ctx)
	if err != nil {
		return "", failed(OutcomePerm, mail.WithHint(mail.Errorf(mail.KindOf(err), "read %s: %w", what, err),
			"check the secret that the configuration names for mailbox %q", m.Name))
	}
	return s, nil
}

// identity returns who logs in. The password is asked for now, so that a rotated
// one is used.
func (s *session) identity(ctx context.Context) (pop3.Identity, error) {
	if s.m.Tokens != nil {
		token, err := s.m.Tokens.Token(ctx)
		return s.token(token), tokenFailure(err)
	}
	password, err := s.m.secret(ctx)
	return pop3.Password{User: s.m.User, Password: password, Mechanism: s.m.PasswordMechanism}, err
}

func (s *session) token(token string) pop3.Token {
	return pop3.Token{User: s.m.User, Token: token, Mechanism: s.m.TokenMechanism}
}

// renewed returns another token in place of one that the server has refused; ok
// is false if there is none, and then the refusal stands. A token may have been
// withdrawn before its time, which is why a refusal of the first one is not yet
// one of the mailbox.
func (s *session) renewed(ctx context.Context, as pop3.Identity, refusal error) (_ pop3.Identity, ok bool, _ error) {
	old, isToken := as.(pop3.Token)
	if !isToken || pop3.ClassOf(refusal) != pop3.Credentials {
		return nil, false, nil
	}
	token, err := s.m.Tokens.Renew(ctx, old.Token)
	if err != nil {
		return nil, false, tokenFailure(err)
	}
	if token == old.Token {
		return nil, false, nil
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "the server refused a token, trying another one once", slog.Any("error", refusal))
	return s.token(token), true, nil
}

// tokenFailure gives an error of a TokenSource its outcome.
func tokenFailure(err error) error {
	outcome := outcomeOfKind(err)
	switch oauth.ClassOf(err) {
	case oauth.Credentials:
		outcome = OutcomeCredentials
	case oauth.Rate:
		outcome = OutcomeRate
	case oauth.Perm:
		outcome = OutcomePerm
	case oauth.Temp:
		outcome = OutcomeTemp
	}
	return failed(outcome, err)
}
