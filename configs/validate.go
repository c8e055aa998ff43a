package configs

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// validate checks what no single value shows. A key that has a fault already
// gets no second one.
func (l *loading) validate(c *Config) {
	check := &checking{loading: l, config: c}
	check.values()
	check.archive()
	check.nats()
	check.http()
	check.transparency()
	check.verification()
	check.extraction()
	check.encryption()
	check.store()
	check.keeping()
	check.backup()
	check.oauth()
	check.hosts()
	check.mailboxes()
}

// checkName returns what is wrong with the name of a mailbox or a host. Names
// are shown to people and stand in reports, so what cannot be seen is refused.
func checkName(s string) *problem {
	const most = 200
	switch {
	case s == "":
		return &problem{"is missing", "give it a value"}
	case len(s) > most:
		return &problem{"is longer than 200 octets", "shorten it"}
	case !utf8.ValidString(s):
		return &problem{"is not UTF-8", "save the file as UTF-8"}
	case strings.TrimSpace(s) != s:
		return &problem{"starts or ends with a space", "remove the space"}
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return &problem{"holds characters that cannot be seen", "write printable characters"}
	}
	return nil
}
