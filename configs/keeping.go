package configs

import (
	"fmt"
	"strings"
)

// Keeping is the section "retention".
type Keeping struct {
	// Classes of mail that are kept for other periods than store.retention says, which
	// is for what no rule gives a class. A message has its class from when it is sealed;
	// a period that is shortened later is for new mail alone.
	Classes []RetentionClass `koanf:"classes"`
	// Which mail is in which class. Of all rules that a message meets, that of the
	// longest class counts. To, from and list are what the sender wrote.
	Rules []RetentionRule `koanf:"rules"`
}

// RetentionClass is an entry of "classes".
type RetentionClass struct {
	// Its name: letters from a to z, digits and hyphens. "default" is that of
	// store.retention, "none" what was sealed without a class.
	Name string `koanf:"name"`
	// For how long erasing is refused, in years of the calendar or in days: 6y, 90d. An
	// object in a store is retained for the longest of all classes.
	Period string `koanf:"period"`
	// When the period begins: when mail was received, or with the end of that year.
	Start string `koanf:"start" enum:"received,end-of-year"`
}

// RetentionRule is an entry of "rules". Of each list one entry must be met. Entries are
// separated by commas.
type RetentionRule struct {
	// The name of the class.
	Class string `koanf:"class"`
	// Names of mailboxes, in which * stands for any text.
	Mailboxes string `koanf:"mailboxes"`
	// Addresses such as ann@example.org in From or Sender; @example.org stands for
	// those of that domain and below it.
	From string `koanf:"from"`
	// The same of To, Cc, Delivered-To and X-Original-To.
	To string `koanf:"to"`
	// What stands in List-Id, such as news.example.org.
	List string `koanf:"list"`
}

// Lists returns the conditions of the rule.
func (r RetentionRule) Lists() (mailboxes, from, to, list []string) {
	return commas(r.Mailboxes), commas(r.From), commas(r.To), commas(r.List)
}

// commas returns the entries of a list that is written with commas.
func commas(text string) []string {
	var all []string
	for one := range strings.SplitSeq(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

// Length returns the period as years of the calendar and days.
func (c RetentionClass) Length() (years, days int, err error) { return periodOf(c.Period) }

// keeping checks classes and rules.
func (k *checking) keeping() {
	names := map[string]bool{}
	for i, c := range k.config.Retention.Classes {
		key := fmt.Sprintf("retention.classes[%d]", i)
		switch {
		case !isClassName(c.Name):
			k.fault(key+".name", quote(c.Name)+" is not the name of a class", "write letters from a to z, digits and hyphens")
		case c.Name == "default" || c.Name == "none":
			k.fault(key+".name", quote(c.Name)+" has a meaning already", "choose another name")
		case names[c.Name]:
			k.fault(key+".name", quote(c.Name)+" is there twice", "remove one of them")
		}
		names[c.Name] = true
		if _, _, err := c.Length(); err != nil {
			k.fault(key+".period", err.Error(), "write 6y or 90d")
		}
	}
	for i, r := range k.config.Retention.Rules {
		k.keepingRule(fmt.Sprintf("retention.rules[%d]", i), r, names)
	}
}

func (k *checking) keepingRule(key string, r RetentionRule, names map[string]bool) {
	if !names[r.Class] {
		k.fault(key+".class", "retention.classes has no entry "+quote(r.Class), "add it, or correct the name")
	}
	mailboxes, from, to, list := r.Lists()
	if len(mailboxes)+len(from)+len(to)+len(list) == 0 {
		k.fault(key, "has no condition", "set mailboxes, from, to or list; for all mail set store.retention, or mailboxes: \"*\"")
	}
	for name, all := range map[string][]string{"from": from, "to": to} {
		for _, one := range all {
			if local, domain, ok := strings.Cut(one, "@"); !ok || domain == "" || strings.ContainsAny(local+domain, " <>@*") {
				k.fault(key+"."+name, quote(one)+" is not an address or a domain", "write ann@example.org or @example.org")
			}
		}
	}
}

// isClassName reports whether a name can be searched for as it is.
func isClassName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && strings.Trim(s, "-") == s
}
