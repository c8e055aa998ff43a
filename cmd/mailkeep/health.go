package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mailkeep/mailkeep/mail"
)

// health returns the command that asks a running process how it is; containers
// use it where there is no shell and no curl.
func (p *program) health() *cobra.Command {
	var timeout time.Duration
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "ask the process on this machine whether it is healthy",
		Long: `Health asks /healthz (or /readyz) of the process that listens on http.listen, and
exits with status 0 if it is healthy and 1 if it is not.`,
		Example: `  mailkeep health --http-listen :8025`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return p.runHealth(ctx, cmd, ready)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "longest `time` to wait for the answer")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask /readyz: whether it takes work")
	return cmd
}

func (p *program) runHealth(ctx context.Context, cmd *cobra.Command, ready bool) error {
	c, err := p.load(cmd, false)
	if err != nil {
		return err
	}
	if c.HTTP.Listen == "" {
		return mail.WithHint(mail.Errorf(mail.Invalid, "http.listen is not set"), "set it in the configuration of the process that is asked")
	}
	path := "/healthz"
	if ready {
		path = "/readyz"
	}
	body, err := ask(ctx, "http://"+reachable(c.HTTP.Listen)+path)
	if err != nil {
		return err
	}
	printLine(p.stdout, body)
	return nil
}

// ask returns the first KiB of the answer; an answer other than 200 is an error.
func ask(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", mail.Errorf(mail.Invalid, "ask for health: %w", err)
	}
	// A transport of its own, so that no proxy of the environment is asked.
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", mail.Errorf(mail.Temporary, "ask for health: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return "", mail.Errorf(mail.Temporary, "ask for health: %w", err)
	}
	body := strings.TrimSpace(string(b))
	if resp.StatusCode != http.StatusOK {
		return "", mail.Errorf(mail.Temporary, "not healthy: %s: %s", resp.Status, body)
	}
	if body == "" {
		body = fmt.Sprint(http.StatusText(resp.StatusCode))
	}
	return body, nil
}

// reachable turns an address to listen on into one to dial: ":8025" and
// "0.0.0.0:8025" are reached on this machine.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return listen
}
