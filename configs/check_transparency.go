package configs

import (
	"fmt"
	"net/url"
	"strings"
)

// transparency checks the log's schedule and who vouches for it.
func (k *checking) transparency() {
	t := k.config.Transparency
	within(k, "transparency.checkpoint_interval", t.CheckpointInterval, second, hour)
	within(k, "transparency.anchor_interval", t.AnchorInterval, minute, 24*hour)
	for _, u := range t.TSAs() {
		k.webURL("transparency.tsa", u)
	}
	k.authorities("transparency.tsa_ca_file", t.TSACAFile)
	if t.TSACAFile != "" && t.TSA == "" {
		k.fault("transparency.tsa_ca_file", "there is no time stamp authority that it is for", "set transparency.tsa or remove it")
	}
	for i, w := range t.Witnesses {
		key := fmt.Sprintf("transparency.witnesses[%d]", i)
		k.webURL(key+".url", w.URL)
		if strings.Count(w.VKey, "+") < 2 {
			k.fault(key+".vkey", "is not the public key of a witness", "its operator publishes it, in the form NAME+HASH+KEY")
		}
	}
}

// webURL records a fault unless the value is a URL for HTTP without a password.
func (k *checking) webURL(key, value string) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		k.fault(key, quote(value)+" is not a URL of https or http", "write https://host/path")
	case u.User != nil:
		k.fault(key, "a URL must not carry a password", "remove it")
	}
}

// TSAs are the URLs of the time stamp authorities.
func (t Transparency) TSAs() []string {
	var out []string
	for u := range strings.SplitSeq(t.TSA, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}
