package retention

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// A Rule gives a class to deliveries that meet each of its conditions. An empty
// condition is met by all. Texts are compared without regard to case.
type Rule struct {
	Class string `json:"class"`
	// Mailboxes are names, in which an asterisk stands for any text.
	Mailboxes []string `json:"mailboxes,omitempty"`
	// From and To are addresses, or domains with an @ before them that stand for those
	// below them too: one of those in From and Sender, or in To, Cc, Delivered-To and
	// X-Original-To. List is one in List-Id (RFC 2919), without < and >.
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
	List []string `json:"list,omitempty"`
}

func (r Rule) readsHeader() bool { return len(r.From)+len(r.To)+len(r.List) > 0 }

// Rules choose the class of what is sealed, and tell until when a record is kept.
// They do not change; NewRules makes them.
type Rules struct {
	classes []mail.Class
	rules   []Rule
	other   mail.Class // of what no rule gives another
	headers bool       // a rule reads them
}

// NewRules returns the rules over classes, each of which has another name. other is
// the class of what no rule gives another; zero for none. Errors are mail.Invalid:
// a rule names a class that is not there.
func NewRules(classes []mail.Class, rules []Rule, other mail.Class) (*Rules, error) {
	text, err := json.Marshal([]any{classes, rules, other})
	if err != nil {
		return nil, mail.Errorf(mail.Invalid, "the rules of retention: %w", err)
	}
	sum := sha256.Sum256(text)
	k := &Rules{classes: slices.Clone(classes), rules: lowered(rules), other: other}
	print := hex.EncodeToString(sum[:4])
	for i := range k.classes {
		k.classes[i].Rules = print
	}
	if !other.IsZero() {
		k.other.Rules = print
	}
	for _, r := range rules {
		if k.named(r.Class).IsZero() {
			return nil, mail.Errorf(mail.Invalid, "a rule of retention names the class %q, which is not there", r.Class)
		}
		k.headers = k.headers || r.readsHeader()
	}
	return k, nil
}

// lowered returns the rules with their texts in lower case.
func lowered(rules []Rule) []Rule {
	out := slices.Clone(rules)
	for i := range out {
		for _, list := range []*[]string{&out[i].Mailboxes, &out[i].From, &out[i].To, &out[i].List} {
			*list = slices.Clone(*list)
			for n, s := range *list {
				(*list)[n] = strings.ToLower(s)
			}
		}
	}
	return out
}

// named returns the class of a name as it is configured; zero if it is not.
func (k *Rules) named(name string) mail.Class {
	if name == k.other.Name {
		return k.other
	}
	for _, c := range k.classes {
		if c.Name == name {
			return c
		}
	}
	return mail.Class{}
}

// Class returns the class of a delivery that is sealed at a time: of the rules that
// it meets the one that keeps it longest, so that no field that a sender adds can
// shorten what another rule promises; of equal ones the first. header is the
// beginning of the message; what stands behind its first empty line is not read.
func (k *Rules) Class(d mail.Delivery, header []byte, at time.Time) mail.Class {
	mailbox := strings.ToLower(d.Mailbox)
	var h head
	if k.headers {
		h = readHead(header)
	}
	return k.longest(at, func(r Rule) bool { return r.meetsMailbox(mailbox) && r.meetsHead(h) })
}

// longest returns of the classes of the rules that are met the longest; that of all
// others if none is.
func (k *Rules) longest(at time.Time, met func(Rule) bool) mail.Class {
	var best mail.Class
	for _, r := range k.rules {
		if !met(r) {
			continue
		}
		if c := k.named(r.Class); best.IsZero() || c.Until(at).After(best.Until(at)) {
			best = c
		}
	}
	if best.IsZero() {
		return k.other
	}
	return best
}

// Until returns until when a record must be kept; zero if nothing keeps it. What was
// promised when it was sealed holds; the class of that name as it is configured now
// may lengthen it. What was sealed without a class is kept by the present rules,
// for as long as the longest that it may meet: what its header says is not asked.
func (k *Rules) Until(r mail.Record) time.Time {
	c := r.Delivery.Class
	if !c.IsZero() {
		return later(c.Until(r.Time), k.named(c.Name).Until(r.Time))
	}
	mailbox := strings.ToLower(r.Delivery.Mailbox)
	may := k.longest(r.Time, func(r Rule) bool { return r.meetsMailbox(mailbox) })
	return later(k.other.Until(r.Time), may.Until(r.Time))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (r Rule) meetsMailbox(name string) bool {
	return len(r.Mailboxes) == 0 || slices.ContainsFunc(r.Mailboxes, func(p string) bool { return matches(p, name) })
}

// matches reports whether text is pattern, in which an asterisk stands for any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = after
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
