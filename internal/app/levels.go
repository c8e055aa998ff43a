package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/ledger"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// A Level says what of an archive is verified.
type Level string

// The levels. The first four look ever deeper into the ledger, and each finds
// what those before it find.
const (
	LevelStructure Level = "structure" // segments: names, first headers, seals
	LevelChain     Level = "chain"     // every header: checksums, order, chain, Merkle root
	LevelBodies    Level = "bodies"    // every octet: the hash of each body
	LevelContent   Level = "content"   // every message, decoded, against its commitment
	LevelEvidence  Level = "evidence"  // every checkpoint and anchor against the ledger
	LevelViews     Level = "views"     // catalog and index against the ledger
	LevelGaps      Level = "gaps"      // what sessions reported against what is stored
	LevelIndex     Level = "index"     // every message, read anew, looked for in the index
	LevelAll       Level = "all"       // content, evidence, views and gaps
)

// Levels returns all levels.
func Levels() []Level {
	return []Level{LevelStructure, LevelChain, LevelBodies, LevelContent, LevelEvidence, LevelViews, LevelGaps, LevelIndex, LevelAll}
}

func levelNames() string {
	var names []string
	for _, l := range Levels() {
		names = append(names, string(l))
	}
	return strings.Join(names, ", ")
}

// depth is how deep the ledger is looked into, if it is.
func (l Level) depth() (ledger.Depth, bool) {
	switch l {
	case LevelStructure:
		return ledger.DepthStructure, true
	case LevelChain:
		return ledger.DepthChain, true
	case LevelBodies:
		return ledger.DepthBodies, true
	case LevelContent, LevelAll:
		return ledger.DepthContent, true
	}
	return 0, false
}

// covers reports whether the level part is verified.
func (l Level) covers(part Level) bool { return l == part || l == LevelAll }

// VerifyOptions say what to verify, and against what.
type VerifyOptions struct {
	Level Level // "": LevelAll
	// Checkpoints are files with signed checkpoints that were kept outside of the
	// archive. They count at the levels evidence and all.
	Checkpoints []string
}

func (o *VerifyOptions) complete() error {
	if o.Level == "" {
		o.Level = LevelAll
	}
	if !slices.Contains(Levels(), o.Level) {
		return mail.WithHint(mail.Errorf(mail.Invalid, "there is no level %q of verification", o.Level), "the levels are %s", levelNames())
	}
	if len(o.Checkpoints) > 0 && !o.Level.covers(LevelEvidence) {
		return mail.Errorf(mail.Invalid, "checkpoints are verified at the levels %s and %s alone", LevelEvidence, LevelAll)
	}
	return nil
}

// A broughtCheckpoint is one that somebody kept outside of the archive.
type broughtCheckpoint struct {
	file   string
	signed []byte
}

// origin is the log that the checkpoint says it is of.
func (b broughtCheckpoint) origin() string {
	line, _, _ := strings.Cut(string(b.signed), "\n")
	return line
}

// maxCheckpoint bounds what is read of a file, in octets.
const maxCheckpoint = 64 << 10

// readCheckpoints reads the files, each of which must name a log of the archive.
func readCheckpoints(files []string, id Identity) ([]broughtCheckpoint, error) {
	out := make([]broughtCheckpoint, 0, len(files))
	for _, name := range files {
		info, err := os.Stat(name)
		if err == nil && info.Size() > maxCheckpoint {
			err = fmt.Errorf("%s has more than %d octets", name, maxCheckpoint)
		}
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "read the checkpoint: %w", err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, mail.Errorf(mail.Invalid, "read the checkpoint: %w", err)
		}
		c := broughtCheckpoint{name, b}
		known := false
		for p := range id.Partitions {
			known = known || c.origin() == tlog.Origin(id.Archive, uint16(p))
		}
		if !known {
			return nil, mail.WithHint(mail.Errorf(mail.Invalid, "%s is no checkpoint of the archive %s", name, id.Archive),
				"a checkpoint is a copy of the file tlog/0000/checkpoint of the archive")
		}
		out = append(out, c)
	}
	return out, nil
}

// claims opens the checkpoints that were brought of a partition's log.
func (v *verifier) claims(p uint16, trust tlog.Trust) []tlog.Claim {
	var out []tlog.Claim
	for _, b := range v.brought {
		if b.origin() != trust.Origin {
			continue
		}
		c, _, err := trust.Open(b.signed)
		if err != nil {
			v.found(Finding{Partition: p, Where: b.file, Problem: fmt.Sprintf("the archive publishes no key that has signed it: the key was replaced, or this file was altered: %v", err),
				Hint: "compare checkpoint.vkey with the copy that you keep"})
			continue
		}
		out = append(out, tlog.Claim{Size: c.Size, Root: c.Root, Where: b.file})
	}
	return out
}

// unpublished reports checkpoints that were brought of a log without a key.
func (v *verifier) unpublished(p uint16) {
	for _, b := range v.brought {
		if b.origin() == tlog.Origin(v.client.dir.Identity.Archive, p) {
			v.found(Finding{Partition: p, Where: b.file, Problem: "a checkpoint was signed of this log, but the archive publishes no key", Hint: "restore checkpoint.vkey from a copy of the archive"})
		}
	}
}
