package bus

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/mod/semver"
)

// minServer is the first version whose file store keeps its promises and that
// has per-key lives (issue list in docs of nats-server 2.14.6).
const minServer = "v2.14.6"

// connect opens the connection, checks what is at the other end and derives
// from it the size of an inline message.
func (b *Bus) connect(ctx context.Context) error {
	nc, err := nats.Connect(b.opt.URL, b.connectOptions()...)
	if err != nil {
		return classify(ctx, "connect to NATS", err)
	}
	b.nc = nc
	if err := checkVersion(nc.ConnectedServerVersion()); err != nil {
		return err
	}
	b.inline = min(b.opt.Inline, nc.MaxPayload()-headroom)
	if nc.MaxPayload() < chunkSize+headroom {
		return mail.WithHint(mail.Errorf(mail.Invalid, "the NATS server takes payloads of %d octets only", nc.MaxPayload()),
			"set max_payload to 1MB or more, 8MB is recommended")
	}
	b.js, err = jetstream.New(nc, jetstream.WithPublishAsyncTimeout(publishWait), jetstream.WithDefaultTimeout(10*time.Second))
	if err != nil {
		return classify(ctx, "open JetStream", err)
	}
	if _, err := b.js.AccountInfo(ctx); err != nil {
		err = classify(ctx, "ask for JetStream", err)
		if ctx.Err() != nil {
			return err
		}
		return mail.WithHint(err, "JetStream must be enabled on the server and for the account")
	}
	return nil
}

func (b *Bus) connectOptions() []nats.Option {
	opts := []nats.Option{
		nats.Name(b.opt.Name),
		nats.MaxReconnects(-1),
		nats.DrainTimeout(10 * time.Second),
		// Publications have their own retries, so that nothing is buffered
		// while there is no connection and an error is seen at once.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(b.asyncError),
		nats.ClosedHandler(func(*nats.Conn) { close(b.closed) }),
		nats.DisconnectErrHandler(b.disconnected),
		nats.ReconnectHandler(b.reconnected),
	}
	if b.server != nil {
		return append(opts, nats.InProcessServer(b.server), nats.ReconnectWait(100*time.Millisecond),
			nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond))
	}
	opts = append(opts, nats.ReconnectWait(time.Second))
	if b.opt.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(b.opt.CredentialsFile))
	}
	if b.opt.CAFile != "" {
		opts = append(opts, nats.RootCAs(b.opt.CAFile))
	}
	if b.opt.CertFile != "" || b.opt.KeyFile != "" {
		opts = append(opts, nats.ClientCert(b.opt.CertFile, b.opt.KeyFile))
	}
	return opts
}

// asyncError makes visible what no call returns: a denied subject shows up
// as a timeout of the call, and its reason only here.
func (b *Bus) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	b.log.Error("NATS reported an error", slog.String("subject", subject), slog.Any("error", err))
}

func (b *Bus) disconnected(_ *nats.Conn, err error) {
	if b.life.Err() == nil {
		b.log.Warn("connection to NATS lost", slog.Any("error", err))
	}
}

func (b *Bus) reconnected(nc *nats.Conn) {
	b.log.Info("connection to NATS restored", slog.String("server", nc.ConnectedServerVersion()))
	select {
	case b.restored <- struct{}{}:
	default:
	}
}

// checkVersion refuses servers older than minServer.
func checkVersion(version string) error {
	v := "v" + strings.TrimPrefix(version, "v")
	if semver.IsValid(v) && semver.Compare(v, minServer) >= 0 {
		return nil
	}
	return mail.WithHint(mail.Errorf(mail.Invalid, "the NATS server has version %q; %s or later is needed", version, minServer[1:]),
		"upgrade nats-server; 2.15.2 or later is recommended")
}
