package configs

import "strings"

// Envelope is the section "envelope" of a mailbox. After a change of it, what is
// in the archive already needs "mailkeep reparse --mailbox NAME".
type Envelope struct {
	// The field with the recipient's address that the delivering host adds, such as
	// X-Original-To, Delivered-To, X-Envelope-To or X-Gm-Original-To.
	Header string `koanf:"header"`
	// Which of the fields of that name counts, from the top. Default: 1, the topmost.
	Occurrence int `koanf:"occurrence"`
	// What the delivering host puts before the local part of the address, such as
	// archive+ or mbox-example-; it is taken off.
	StripPrefix string `koanf:"strip_prefix"`
	// The local part, behind the prefix, is an address with = in place of @:
	// ann=example.org@archive.example.net stands for ann@example.org.
	Encoded bool `koanf:"encoded"`
	// Hosts that are trusted to write Received fields, separated by commas, as those
	// fields name them behind "by"; .example.org stands for all hosts below it. Only
	// fields above the first Received of another host count. Where the header is
	// missing, the address behind "for" in the topmost Received counts that has one.
	ReceivedBy string `koanf:"received_by"`
}

// hosts returns the names in ReceivedBy.
func (e Envelope) hosts() []string {
	var all []string
	for one := range strings.SplitSeq(e.ReceivedBy, ",") {
		if one = strings.ToLower(strings.TrimSpace(one)); one != "" {
			all = append(all, one)
		}
	}
	return all
}
