package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailkeep/mailkeep/mail"
)

// The text of a file of KEKs:
//
//	mailkeep-keks 1
//	# comments, and empty lines
//	kek CLASS YEAR VERSION CREATED ID BASE64
//	gone CLASS YEAR VERSION DESTROYED
//	end N
//
// CREATED and DESTROYED are RFC 3339 in UTC, ID is the id of the KEK in 16
// hexadecimal digits, BASE64 its 32 octets (RFC 4648 section 4). A line "gone"
// says that this version and all older ones of the group are destroyed. N
// counts the lines kek and gone: a file that was cut is recognised.
const (
	kekFileHead = "mailkeep-keks 1"
	maxKEKFile  = 4 << 20
)

// A kekList is what a file of KEKs holds.
type kekList struct {
	keks map[Epoch]kekEntry
	gone map[Group]goneEntry
}

type kekEntry struct {
	kek     kek
	created time.Time
}

type goneEntry struct {
	version uint32
	at      time.Time
}

func newKEKList() *kekList {
	return &kekList{keks: map[Epoch]kekEntry{}, gone: map[Group]goneEntry{}}
}

// newest returns the greatest version of the group that is there, and the
// greatest that ever was.
func (l *kekList) newest(g Group) (there, ever uint32) {
	ever = l.gone[g].version
	for e := range l.keks {
		if e.Group == g {
			there = max(there, e.Version)
		}
	}
	return there, max(there, ever)
}

// destroy forgets the KEKs of e and older ones, and reports whether that
// changed anything.
func (l *kekList) destroy(e Epoch, now time.Time) bool {
	if e.Version <= l.gone[e.Group].version {
		return false
	}
	maps.DeleteFunc(l.keks, func(k Epoch, _ kekEntry) bool { return k.Group == e.Group && k.Version <= e.Version })
	l.gone[e.Group] = goneEntry{e.Version, now}
	return true
}

// wipe clears the KEKs.
func (l *kekList) wipe() {
	for e := range l.keks {
		l.keks[e] = kekEntry{}
	}
}

// encode returns the text, ordered by group and version.
func (l *kekList) encode() []byte {
	var b bytes.Buffer
	// With room for all, the buffer leaves no copies behind that nobody clears.
	b.Grow(len(kekFileHead) + 160*(len(l.keks)+len(l.gone)+4))
	b.WriteString(kekFileHead + "\n# Who has this file can read the archive; without it nobody can. Keep copies apart from the archive.\n")
	for _, g := range slices.SortedFunc(maps.Keys(l.gone), compareGroups) {
		at := l.gone[g]
		fmt.Fprintf(&b, "gone %d %d %d %s\n", g.Class, g.Year, at.version, at.at.UTC().Format(time.RFC3339))
	}
	for _, e := range slices.SortedFunc(maps.Keys(l.keks), compareEpochs) {
		k := l.keks[e]
		fmt.Fprintf(&b, "kek %d %d %d %s %x ", e.Class, e.Year, e.Version, k.created.UTC().Format(time.RFC3339), k.kek.id())
		b.Write(base64.StdEncoding.AppendEncode(b.AvailableBuffer(), k.kek[:]))
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "end %d\n", len(l.keks)+len(l.gone))
	return b.Bytes()
}

func compareGroups(a, b Group) int {
	return compareEpochs(Epoch{Group: a}, Epoch{Group: b})
}

func compareEpochs(a, b Epoch) int {
	return slices.Compare([]uint32{uint32(a.Class), uint32(a.Year), a.Version}, []uint32{uint32(b.Class), uint32(b.Year), b.Version})
}

// parseKEKList reads the text of a file of KEKs. The errors, of the kind
// mail.Corrupt or mail.Invalid, name a line and never quote it.
func parseKEKList(text []byte) (*kekList, error) {
	l := newKEKList()
	n, ended := 0, false
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		fields := strings.Split(string(bytes.TrimSuffix(line, []byte("\r"))), " ")
		var err error
		switch {
		case i == 0:
			err = checkKEKHead(line)
		case ended:
			err = fmt.Errorf("there is more behind the end")
		case fields[0] == "" && len(fields) == 1 || strings.HasPrefix(fields[0], "#"):
		case fields[0] == "kek":
			n++
			err = l.parseKEK(fields)
		case fields[0] == "gone":
			n++
			err = l.parseGone(fields)
		case fields[0] == "end":
			ended = true
			if len(fields) != 2 || fields[1] != strconv.Itoa(n) {
				err = fmt.Errorf("there are %d keys, and the end says otherwise", n)
			}
		default:
			err = fmt.Errorf("it is not a line of this format")
		}
		if err != nil {
			l.wipe()
			return nil, mail.Errorf(faultKind(err), "line %d: %w", i+1, err)
		}
	}
	if !ended {
		l.wipe()
		return nil, mail.Errorf(mail.Corrupt, "the end is missing: the file was cut")
	}
	return l, nil
}

func faultKind(err error) mail.Kind {
	if k := mail.KindOf(err); k != mail.Other {
		return k
	}
	return mail.Corrupt
}

func checkKEKHead(line []byte) error {
	head := string(bytes.TrimSuffix(line, []byte("\r")))
	switch name, _, _ := strings.Cut(kekFileHead, " "); {
	case head == kekFileHead:
		return nil
	case strings.HasPrefix(head, name+" "):
		return mail.Errorf(mail.Invalid, "the file has a version that this version of mailkeep does not read")
	}
	return mail.Errorf(mail.Invalid, "this is no file of key encryption keys")
}

func (l *kekList) parseKEK(fields []string) error {
	if len(fields) != 7 {
		return fmt.Errorf("a key has 7 fields, not %d", len(fields))
	}
	e, err := parseEpoch(fields[1:4])
	if err != nil {
		return err
	}
	created, err := time.Parse(time.RFC3339, fields[4])
	if err != nil {
		return fmt.Errorf("the time of a key is not of the form 2006-01-02T15:04:05Z")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(fields[6])
	if err != nil || len(b) != len(kek{}) {
		return fmt.Errorf("a key is not the base64 of 32 octets")
	}
	k := kekEntry{kek(b), created}
	clear(b)
	if id := k.kek.id(); fields[5] != hex.EncodeToString(id[:]) {
		return fmt.Errorf("a key does not match its id")
	}
	if _, twice := l.keks[e]; twice || e.Version <= l.gone[e.Group].version {
		return fmt.Errorf("the key %s is there twice, or was destroyed", e)
	}
	l.keks[e] = k
	return nil
}

func (l *kekList) parseGone(fields []string) error {
	if len(fields) != 5 {
		return fmt.Errorf("a destroyed key has 5 fields, not %d", len(fields))
	}
	e, err := parseEpoch(fields[1:4])
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, fields[4])
	if err != nil {
		return fmt.Errorf("the time of a destruction is not of the form 2006-01-02T15:04:05Z")
	}
	if _, twice := l.gone[e.Group]; twice {
		return fmt.Errorf("the group %s has two of these lines", e.Group)
	}
	l.gone[e.Group] = goneEntry{e.Version, at}
	return nil
}

func parseEpoch(fields []string) (Epoch, error) {
	class, errClass := strconv.ParseUint(fields[0], 10, 16)
	year, errYear := strconv.ParseUint(fields[1], 10, 16)
	version, errVersion := strconv.ParseUint(fields[2], 10, 32)
	if errClass != nil || errYear != nil || errVersion != nil || version == 0 {
		return Epoch{}, fmt.Errorf("class, year and version are not numbers in their ranges")
	}
	return Epoch{Group{uint16(class), uint16(year)}, uint32(version)}, nil
}
