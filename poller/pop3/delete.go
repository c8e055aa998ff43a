package pop3

import (
	"context"
	"fmt"
	"strconv"
)

// deleteWindow is how many DELEs are sent ahead: some 11 KiB of them. A sender of
// their own and answers that are read all the while keep either side from waiting
// for the other.
const deleteWindow = 1000

// Delete marks messages as deleted; nothing is deleted before Quit. The first
// result has an entry for each warrant: nil if the message is marked, else why
// it is not. The second is an error of the session, which then has ended, and
// every warrant without an answer has that error; or it is ErrNoWarrant, and
// nothing was sent. A warrant is good for one attempt.
func (t *Transaction) Delete(ctx context.Context, ws []Warrant) (results []error, err error) {
	end, err := t.c.begin(ctx, "DELE")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if err := t.use(ws); err != nil {
		return nil, err
	}
	if err := t.c.quiet("DELE"); err != nil {
		return nil, err
	}
	results = make([]error, len(ws))
	out := startSender(t.c.wire)
	defer out.stop()
	for sent, i := 0, 0; i < len(ws); i++ {
		if sent, err = t.sendDeletes(out, ws, sent, i); err == nil {
			results[i], err = t.deleted()
		}
		if err != nil {
			for ; i < len(ws); i++ {
				results[i] = err
			}
			return results, err
		}
	}
	return results, nil
}

// use checks all warrants before it takes any.
func (t *Transaction) use(ws []Warrant) error {
	once := make(map[int]bool, len(ws))
	for _, w := range ws {
		if w.of != t || !t.issued[w.number] || once[w.number] {
			return fmt.Errorf("delete message %d: %w", w.number, ErrNoWarrant)
		}
		once[w.number] = true
	}
	for _, w := range ws {
		delete(t.issued, w.number)
	}
	return nil
}

// sendDeletes sends more DELEs once half of the window is free, and returns how
// many are sent then.
func (t *Transaction) sendDeletes(out *sender, ws []Warrant, sent, answered int) (int, error) {
	window := 1
	if t.c.pipelining() {
		window = deleteWindow
	}
	if sent == answered {
		if err := t.c.quiet("DELE"); err != nil {
			return sent, err
		}
	}
	if sent-answered > window/2 {
		return sent, nil
	}
	var batch []byte
	for ; sent < len(ws) && sent-answered < window; sent++ {
		batch = append(strconv.AppendInt(append(batch, "DELE "...), int64(ws[sent].number), 10), "\r\n"...)
	}
	if len(batch) > 0 {
		out.send(batch)
	}
	return sent, nil
}

// deleted reads the answer to one DELE.
func (t *Transaction) deleted() (refusal, err error) {
	st, err := t.c.status("DELE", t.c.timeouts.Command)
	if err != nil || st.ok {
		return nil, err
	}
	return t.c.refusal("DELE", st, Message), nil
}
