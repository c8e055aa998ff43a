package telemetry

import (
	"io"
	"log/slog"

	"github.com/mailkeep/mailkeep/mail"
)

// Logger returns a logger that writes lines to w. format is "text" (key=value)
// or "json"; level is "debug", "info", "warn" or "error" and is the least that
// is written. Anything else is mail.Invalid.
func Logger(w io.Writer, format, level string) (*slog.Logger, error) {
	var least slog.Level
	switch level {
	case "debug":
		least = slog.LevelDebug
	case "info":
		least = slog.LevelInfo
	case "warn":
		least = slog.LevelWarn
	case "error":
		least = slog.LevelError
	default:
		return nil, mail.Errorf(mail.Invalid, "log level %q: want debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, mail.Errorf(mail.Invalid, "log format %q: want text or json", format)
}
