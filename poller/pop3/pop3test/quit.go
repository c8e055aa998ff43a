package pop3test

// quit ends the session. In the TRANSACTION state it enters UPDATE (RFC 1939
// section 6) first, in the way that the hooks want.
func (p *session) quit() error {
	if p.box == nil {
		p.line("+OK")
		return p.flushAndEnd(FIN)
	}
	switch p.hooks.Quit {
	case QuitDropBefore:
		return p.flushAndEnd(FIN)
	case QuitDropAfter:
		p.update(p.doomed())
		return p.flushAndEnd(FIN)
	case QuitRefused:
		p.line("-ERR messages not removed")
	case QuitLie:
		p.line("+OK")
	case QuitHalf, QuitSome:
		var half []*stored
		for i, m := range p.doomed() {
			if i%2 == 0 {
				half = append(half, m)
			}
		}
		p.update(half)
		if p.hooks.Quit == QuitSome {
			p.line("+OK")
		} else {
			p.line("-ERR some messages not removed")
		}
	default:
		p.update(p.doomed())
		p.line("+OK")
	}
	p.leave() // who reads the answer may log in again at once
	return p.flushAndEnd(FIN)
}

// doomed returns the messages that UPDATE deletes.
func (p *session) doomed() []*stored {
	var ms []*stored
	for i, m := range p.seen {
		if p.marked[i] && !p.hooks.RetrHides || p.retrieved[i] && p.hooks.RetrDeletes {
			ms = append(ms, m)
		}
	}
	return ms
}

func (p *session) update(ms []*stored) {
	p.srv.recordDeleted(p.id, p.user, p.box.remove(ms))
	if p.hooks.RetrHides {
		for i, m := range p.seen {
			if p.retrieved[i] {
				p.box.hide([]*stored{m})
			}
		}
	}
}
