package tlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/mail"
)

const (
	historyDir = "checkpoints"
	// historySize is where a file of checkpoints is ended.
	historySize = 4 << 20
)

// A history is the checkpoints that a log has signed, in order: in files that
// are only appended to, each by one process and one handle. A file that a crash
// has torn is left as it is; the next process begins the next one.
//
// An entry is a line "time " and RFC 3339, the signed note, and an empty line.
type history struct {
	fs   durable.FS
	next int
	f    durable.File // nil: the next append makes a file
	size int64
}

func historyName(n int) string { return fmt.Sprintf("%s/%08d", historyDir, n) }

// historyFiles lists the files, the oldest first.
func historyFiles(fsys durable.FS) ([]int, error) {
	entries, err := fsys.ReadDir(historyDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && historyName(n) == historyDir+"/"+e.Name() {
			out = append(out, n)
		}
	}
	return out, nil
}

func openHistory(fsys durable.FS) (*history, error) {
	files, err := historyFiles(fsys)
	if err != nil {
		return nil, err
	}
	h := &history{fs: fsys, next: 1}
	if len(files) > 0 {
		h.next = files[len(files)-1] + 1
	}
	return h, nil
}

// append stores a checkpoint durably. After an error the file is not used
// again.
func (h *history) append(c Checkpoint) error {
	err := h.add(fmt.Appendf(nil, "time %s\n%s\n", c.Time.UTC().Format(time.RFC3339), c.Note))
	if err != nil {
		h.end()
		return fmt.Errorf("store the checkpoint: %w", err)
	}
	return nil
}

func (h *history) add(entry []byte) error {
	begun := false
	if h.f == nil {
		if err := h.begin(); err != nil {
			return err
		}
		begun = true
	}
	n, err := h.f.Write(entry)
	h.size += int64(n)
	if err == nil {
		err = h.f.Sync()
	}
	if err != nil {
		return err
	}
	if begun {
		if err := h.fs.SyncDir(historyDir); err != nil {
			return err
		}
	}
	if h.size >= historySize {
		h.end()
	}
	return nil
}

func (h *history) begin() (err error) {
	if err := h.fs.MkdirAll(historyDir); err != nil {
		return err
	}
	if err := h.fs.SyncDir("."); err != nil {
		return err
	}
	h.f, err = h.fs.Create(historyName(h.next))
	h.next, h.size = h.next+1, 0
	return err
}

// end closes the file at hand.
func (h *history) end() {
	if h.f != nil {
		_ = h.f.Close() // what matters was synced
		h.f = nil
	}
}

// An entry is a checkpoint of the history, and where it stands.
type entry struct {
	signed []byte
	time   time.Time
	file   string
}

// entries reads the history, the oldest first. What stands torn at the end of a
// file is told as the error errTorn beside its place, and reading goes on.
func entries(fsys durable.FS) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		files, err := historyFiles(fsys)
		if err != nil {
			yield(entry{}, err)
			return
		}
		for _, n := range files {
			if !entriesOf(fsys, historyName(n), yield) {
				return
			}
		}
	}
}

// errTorn says that a file of checkpoints ends within one.
var errTorn = mail.Errorf(mail.Corrupt, "the file ends within a checkpoint")

// entriesIn reads one file.
func entriesIn(fsys durable.FS, name string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) { entriesOf(fsys, name, yield) }
}

// entriesOf reads one file. It reports whether to go on.
func entriesOf(fsys durable.FS, name string, yield func(entry, error) bool) bool {
	f, err := fsys.Open(name)
	if err != nil {
		return yield(entry{file: name}, err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		e, err := readEntry(r)
		e.file = name
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return yield(e, err)
		case !yield(e, nil):
			return false
		}
	}
}

// readEntry reads one entry; io.EOF at the end, errTorn within one.
func readEntry(r *bufio.Reader) (entry, error) {
	head, err := r.ReadString('\n')
	if err != nil {
		if head == "" && errors.Is(err, io.EOF) {
			return entry{}, io.EOF
		}
		return entry{}, torn(err)
	}
	at, ok := strings.CutPrefix(strings.TrimSuffix(head, "\n"), "time ")
	t, err := time.Parse(time.RFC3339, at)
	if !ok || err != nil {
		return entry{}, errTorn
	}
	e := entry{time: t}
	for blank := 0; ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return entry{}, torn(err)
		}
		if line == "\n" {
			if blank++; blank == 2 {
				return e, nil
			}
		}
		if e.signed = append(e.signed, line...); len(e.signed) > maxNote {
			return entry{}, errTorn
		}
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return errTorn
	}
	return err
}
