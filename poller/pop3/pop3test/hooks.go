package pop3test

import "time"

// Hooks are the faults that a session of the server has. The zero value has
// none. A session takes its copy when it begins, see Server.SetHooks.
type Hooks struct {
	// Greeting, if not empty, is sent in place of the greeting, as it is.
	Greeting string
	// Silent sends no greeting.
	Silent bool

	// OnCommand, if not nil, is asked about each command before it is run; a
	// nil Action runs it as usual. It may be called by several sessions at once.
	// Where the answer to AUTH begins with "+", it is asked about the lines of the
	// exchange too, as the verb Response.
	OnCommand func(Command) *Action

	// Cut, if not nil, returns after how many octets of its stream session n
	// (from 1) is cut, and how; a negative number cuts nothing. The octets of a
	// TLS connection are counted inside TLS.
	Cut func(session int) (after int64, how Ending)
	// Segment, if not 0, writes at most so many octets at a time.
	Segment int
	// MaxCommands, if not 0, closes the session at command number n+1.
	MaxCommands int
	// MaxRetr, if not 0, answers -ERR to all RETRs of a session after so many.
	MaxRetr int

	// ListSize, if not nil, returns the text of the size field of LIST and of
	// `+OK n octets` for message n whose size on the wire is size.
	ListSize func(n int, size int64) string
	// NoUIDL answers -ERR to UIDL and does not announce it.
	NoUIDL bool
	// ListOnly, if not 0, shows a session the first so many messages only.
	ListOnly int

	// Body, if not nil, returns what is sent for message n in place of its
	// bytes; dot-stuffing and the terminator follow as usual, so that a cut
	// body looks complete.
	Body func(n int, raw []byte) []byte
	// NoDotStuffing sends lines that begin with a dot as they are.
	NoDotStuffing bool
	// NoFinalCRLF does not add the CR LF that the terminator needs.
	NoFinalCRLF bool
	// AfterBody is sent behind the terminator of every body.
	AfterBody string
	// LFOnly ends all lines of the server, those of bodies included, with LF.
	LFOnly bool

	// DropPipelined throws away what came in beyond one command.
	DropPipelined bool
	// RetrDeletes deletes at QUIT what was retrieved, and announces EXPIRE 0
	// (RFC 2449 section 6.7).
	RetrDeletes bool
	// RetrHides shows later sessions no more what was retrieved by a session
	// that ended with QUIT, and ignores DELE.
	RetrHides bool
	// DeleteAtOnce commits each DELE when it is received.
	DeleteAtOnce bool
	// NoLock lets several sessions open a mailbox at once.
	NoLock bool

	Scram ScramFault

	Quit QuitFault
}

// A Command is what a client sent.
type Command struct {
	Session int    // of the server, from 1
	Ordinal int    // in the session, from 1
	User    string // after USER
	Verb    string // upper case
	Arg     string // masked where it is secret: "***"
}

// Line returns the command as one line without its end.
func (c Command) Line() string {
	if c.Arg == "" {
		return c.Verb
	}
	return c.Verb + " " + c.Arg
}

// An Action replaces the answer to a command. The steps are taken in the order
// of the fields.
type Action struct {
	Delay time.Duration // wait first
	// Raw is sent as it is, line ends included.
	Raw string
	// Run runs the command as usual, behind Raw.
	Run bool
	// End closes the connection last.
	End Ending
}

// An Ending tells how a connection is ended.
type Ending int

// The endings.
const (
	Stay  Ending = iota // not at all
	FIN                 // orderly, the client reads end of file
	Reset               // by RST where the transport has it
	Stall               // not closed: the server falls silent until the client goes away
)

// A ScramFault is what goes wrong with AUTH SCRAM-SHA-256.
type ScramFault int

// The faults of SCRAM.
const (
	ScramFine     ScramFault = iota
	ScramUnproven            // any proof is right, and the server gives none of its own
	ScramForged              // any proof is right, and the server's own is wrong
	ScramTells               // a wrong proof is refused by a challenge before -ERR (RFC 5802 section 7)
)

// A QuitFault is what goes wrong with QUIT.
type QuitFault int

// The faults of QUIT.
const (
	QuitFine       QuitFault = iota
	QuitDropBefore           // close without an answer, nothing is deleted
	QuitDropAfter            // delete, then close without an answer
	QuitRefused              // -ERR, nothing is deleted
	QuitLie                  // +OK, nothing is deleted
	QuitHalf                 // -ERR, every second message is deleted
	QuitSome                 // +OK, every second message is deleted
)
