package pop3

import (
	"fmt"
	"strings"
	"time"
)

// Words returns what the server announced as it writes it in an answer to CAPA,
// as far as this package knows the words; nil if CAPA was not answered.
func (c Capabilities) Words() []string {
	if !c.Known {
		return nil
	}
	words := []string{}
	add := func(has bool, word string) {
		if has {
			words = append(words, word)
		}
	}
	add(c.Top, "TOP")
	add(c.Uidl, "UIDL")
	add(c.User, "USER")
	add(len(c.Sasl) > 0, "SASL "+strings.Join(c.Sasl, " "))
	add(c.Stls, "STLS")
	add(c.Pipelining, "PIPELINING")
	add(c.RespCodes, "RESP-CODES")
	add(c.AuthRespCode, "AUTH-RESP-CODE")
	add(c.UTF8, "UTF8"+ofUser(c.UTF8User))
	add(c.LoginDelay > 0, fmt.Sprintf("LOGIN-DELAY %d", c.LoginDelay/time.Second)+ofUser(c.LoginDelayUser))
	add(c.Expire != ExpireNever, fmt.Sprintf("EXPIRE %d", c.Expire)+ofUser(c.ExpireUser))
	add(c.Implementation != "", "IMPLEMENTATION "+c.Implementation)
	return words
}

// ofUser is the argument of a capability that differs per user.
func ofUser(differs bool) string {
	if differs {
		return " USER"
	}
	return ""
}
