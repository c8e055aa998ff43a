package configs

import (
	"net/netip"
	"strconv"
	"strings"
)

// splitAddress reads "host", "host:port", an IPv6 address or "[IPv6]:port";
// port is empty where none is written.
func splitAddress(s string) (host, port string, p *problem) {
	bad := func(text string) (string, string, *problem) {
		return "", "", &problem{text, "write host or host:port, such as pop.example.org:995"}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), "", nil
	}
	host, port = s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad(quote(port) + " is not a port between 1 and 65535")
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err != nil || !closed {
			return bad(quote(host) + " is not an IPv6 address in brackets")
		} else {
			return a.String(), port, nil
		}
	}
	if !validHost(host) {
		return bad(quote(host) + " is not a host name or an address")
	}
	return host, port, nil
}

// validHost accepts host names of letters, digits, hyphens and underscores
// (RFC 1123 section 2.1, and what is in use), and IPv4 addresses.
func validHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.Trim(label, hostLetters) != "" {
			return false
		}
	}
	return true
}

const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func quote(s string) string { return strconv.Quote(clip(s)) }
