package worker

import (
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/parser/extract"
)

// A hello is what a process says when it is ready.
type hello struct {
	Guards []Guard `json:"guards"`
	// PDF is why documents of that kind cannot be read; empty if they can.
	PDF string `json:"pdf,omitempty"`
	// Blind is why the cache could not be read; empty if it could, or if there is
	// none.
	Blind string `json:"blind,omitempty"`
}

// A Guard is one thing that binds a process.
type Guard struct {
	Name string `json:"name"`
	// Missing is why it could not be applied; empty if it was.
	Missing string `json:"missing,omitempty"`
}

// The names of guards.
const (
	GuardMemory     = "memory"     // resource limits of memory
	GuardCPU        = "cpu"        // of CPU time
	GuardFiles      = "files"      // of open files and their size
	GuardPrivileges = "privileges" // no new ones, no core, not to be traced
	GuardLandlock   = "landlock"   // of the file system
	GuardSeccomp    = "seccomp"    // of system calls
	GuardNamespaces = "namespaces" // a user and a network of its own
)

// A query asks for the text of the document that follows it.
type query struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Size     int64  `json:"size"`
	Text     int    `json:"text"`     // most octets of text
	Unpacked int64  `json:"unpacked"` // most octets out of decompression
	Pictures bool   `json:"pictures"` // pictures may be asked for
}

// An answer is the result but its text, which went before.
type answer struct {
	Status    mail.TextStatus `json:"status"`
	Extractor mail.Extractor  `json:"extractor"`
	Detail    string          `json:"detail,omitempty"`
	Embedded  int             `json:"embedded,omitempty"`
	Unread    int             `json:"unread,omitempty"`
	Unpacked  int64           `json:"unpacked,omitempty"`
	Peak      int64           `json:"peak,omitempty"`   // most octets that the process had in memory, ever
	Retire    bool            `json:"retire,omitempty"` // something went wrong in the process
}

// A reading is the text of a picture.
type reading struct {
	Status    mail.TextStatus `json:"status"`
	Extractor mail.Extractor  `json:"extractor"`
	Detail    string          `json:"detail,omitempty"`
	Text      string          `json:"text,omitempty"`
}

// maxReading is the most octets of text that one picture gives.
const maxReading = 128 << 10

// statuses are those that an answer may have.
var statuses = []mail.TextStatus{
	mail.TextNone, mail.TextOK, mail.TextTruncated, mail.TextEncrypted, mail.TextFailed,
	mail.TextTimeout, mail.TextUnsupported, mail.TextSkipped,
}

// result checks an answer, which comes from a process that a document may have
// taken over: what it says is data, and nothing more.
func (a answer) result(text []byte, limit int) (extract.Result, error) {
	if !slices.Contains(statuses, a.Status) {
		return extract.Result{}, frameError("a status that there is not")
	}
	r := extract.Result{
		Status: a.Status, Detail: clean(a.Detail, maxDetail), Embedded: max(a.Embedded, 0), Unread: max(a.Unread, 0), Unpacked: max(a.Unpacked, 0),
		Extractor: mail.Extractor{Name: clean(a.Extractor.Name, maxName), Version: a.Extractor.Version},
	}
	r.Text = strings.ReplaceAll(strings.ToValidUTF8(string(text), "\ufffd"), "\x00", "")
	if len(r.Text) > limit { // only if replacing made it longer
		r.Text = strings.ToValidUTF8(r.Text[:limit], "")
	}
	return r, nil
}

const (
	maxDetail = 300
	maxName   = 40
)

// clean makes s a short line without controls.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
