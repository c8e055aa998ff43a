package parser_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailkeep/mailkeep/parser"
)

const (
	defaultMutants = 8_000
	mutantSize     = 12 << 10 // mails above it are mutated by their beginning
	maxMutant      = 2 * mutantSize
	maxFailures    = 6
)

// TestMutants damages mails in the ways that transports, mail software and
// attackers do, and holds the invariants of the package and a limit of time for
// each. Mutant i of a seed is the same in every run: MAILKEEP_MUTANTS sets how
// many there are ("make fuzz" makes ten million), MAILKEEP_MUTANT_SEED the seed.
func TestMutants(t *testing.T) {
	t.Parallel()
	count, seed := envNumber(t, "MAILKEEP_MUTANTS", defaultMutants), envNumber(t, "MAILKEEP_MUTANT_SEED", 1)
	m := mutator{seed: uint64(seed), seeds: mutantSeeds(t)}
	var next, failures atomic.Int64
	var slowest slowest
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(count) && failures.Load() < maxFailures; i = next.Add(1) - 1 {
				b := m.mutant(uint64(i))
				start := time.Now()
				if err := checkMutant(b, i); err != nil {
					t.Errorf("mutant %d of seed %d: %v\n%s", i, seed, err, saveMutant(t, b, i))
					failures.Add(1)
				}
				slowest.note(time.Since(start), i)
			}
		})
	}
	wg.Wait()
	t.Logf("%d mutants of %d mails; the slowest, number %d, took %v with its checks", min(next.Load(), int64(count)), len(m.seeds), slowest.number, slowest.took)
}

// A slowest remembers the mutant that took longest.
type slowest struct {
	mu     sync.Mutex
	took   time.Duration
	number int64
}

func (s *slowest) note(d time.Duration, i int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d > s.took {
		s.took, s.number = d, i
	}
}

func envNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a number above 0", name, v)
	}
	return n
}

// saveMutant writes a mutant that failed to where the test's artifacts go.
func saveMutant(t *testing.T, b []byte, i int64) string {
	name := fmt.Sprintf("%s/mutant-%d.eml", t.ArtifactDir(), i)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		return err.Error()
	}
	return "kept by -artifacts as " + name
}

// checkMutant holds the invariants under the limits of production and, for some
// of the mutants, under small ones and through a small window.
func checkMutant(b []byte, i int64) error {
	if err := checkTimed(b, parser.Limits{}); err != nil {
		return err
	}
	if i%8 == 0 {
		tiny := parser.Limits{Header: 900, Fields: 30, Kept: 9, Value: 90, Addresses: 3, Words: 3, Params: 3, Boundary: 50, Depth: 3, Parts: 5, PartText: 400, MailText: 600, HTML: 500}
		if err := checkTimed(b, tiny); err != nil {
			return fmt.Errorf("with small limits: %w", err)
		}
	}
	if i%64 == 0 {
		m, err := parser.ParseWindow(b, 512)
		if err != nil || !reflect.DeepEqual(m, parser.Parse(b)) {
			return fmt.Errorf("a window of 512 octets gives another message (%v)", err)
		}
	}
	return nil
}

func mutantSeeds(t *testing.T) (seeds [][]byte) {
	mails := corpus(t)
	for _, name := range sortedKeys(mails) {
		if b := mails[name]; len(b) > 0 {
			seeds = append(seeds, b[:min(len(b), mutantSize)])
		}
	}
	return seeds
}

// A mutator makes damaged copies of its seeds.
type mutator struct {
	seed  uint64
	seeds [][]byte
}

func (m mutator) mutant(i uint64) []byte {
	rng := rand.New(rand.NewPCG(m.seed, i))
	b := bytes.Clone(m.seeds[rng.IntN(len(m.seeds))])
	for range 1 + rng.IntN(5) {
		if len(b) == 0 {
			break
		}
		b = mutations[rng.IntN(len(mutations))](rng, b, m.seeds)
		b = b[:min(len(b), maxMutant)]
	}
	return b
}

// mutations are the kinds of damage. Each may change b.
var mutations = [...]func(rng *rand.Rand, b []byte, seeds [][]byte) []byte{
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // flip a bit
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		return b
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { return b[:rng.IntN(len(b))] }, // cut
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // remove a run
		at, end := run(rng, b)
		return append(b[:at:at], b[end:]...)
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // repeat a run many times
		at, end := run(rng, b)
		return slicesOf(b[:at], bytes.Repeat(b[at:end], 1+rng.IntN(60)), b[end:])
	},
	func(rng *rand.Rand, b []byte, seeds [][]byte) []byte { // splice another mail in
		other := seeds[rng.IntN(len(seeds))]
		at := rng.IntN(len(b))
		return slicesOf(b[:at], other[rng.IntN(len(other)):])
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // move a run to the end
		at, end := run(rng, b)
		return slicesOf(b[:at], b[end:], b[at:end])
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // change line ends
		return bytes.ReplaceAll(b, []byte("\r\n"), []byte([]string{"\n", "\r", "\r\r\n", "\n\r"}[rng.IntN(4)]))
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // put something special in
		at := rng.IntN(len(b))
		return slicesOf(b[:at], []byte(special[rng.IntN(len(special))]), b[at:])
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // lose blank lines
		return bytes.Replace(b, []byte("\n\n"), []byte("\n"), 1+rng.IntN(3))
	},
	func(_ *rand.Rand, b []byte, _ [][]byte) []byte { // move boundaries
		return bytes.ReplaceAll(b, []byte("\n--"), []byte("\n\n--"))
	},
	func(_ *rand.Rand, b []byte, _ [][]byte) []byte { // unfold
		return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n "), []byte("\n")), []byte("\n\t"), []byte("\n"))
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // take another encoding, charset or type for the declared one
		pair := swaps[rng.IntN(len(swaps))]
		return bytes.ReplaceAll(b, []byte(pair[0]), []byte(pair[1]))
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // set a run of octets to one
		at, end := run(rng, b)
		c := []byte{0, ' ', '-', '=', '\n', '\r', '"', '(', '<', ',', 0x80, 0xff}[rng.IntN(12)]
		for i := at; i < end; i++ {
			b[i] = c
		}
		return b
	},
	func(rng *rand.Rand, b []byte, _ [][]byte) []byte { // shuffle lines
		lines := bytes.SplitAfter(b, []byte("\n"))
		rng.Shuffle(min(len(lines), 1+rng.IntN(40)), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		return bytes.Join(lines, nil)
	},
	func(rng *rand.Rand, b []byte, seeds [][]byte) []byte { // wrap in another message
		head := []string{
			"Subject: w\nContent-Type: message/rfc822\n\n", "Content-Type: multipart/mixed; boundary=w\n\n--w\n", "Content-Type: multipart/alternative\n\n--w\n--w\n",
			"Content-Type: multipart/digest; boundary=w\n\n--w\n\n", "Content-Type: message/delivery-status\n\n", "Content-Type: text/html; charset=utf-8\n\n<p>",
		}[rng.IntN(6)]
		other := seeds[rng.IntN(len(seeds))]
		return slicesOf([]byte(head), b, []byte("\n--w\n"), other[:rng.IntN(len(other))], []byte("\n--w--\n"))
	},
	func(_ *rand.Rand, b []byte, _ [][]byte) []byte { // no close delimiters
		return bytes.ReplaceAll(b, []byte("--\n"), []byte("\n"))
	},
}

// run chooses a run of up to 200 octets, or of a line's beginning.
func run(rng *rand.Rand, b []byte) (at, end int) {
	at = rng.IntN(len(b))
	return at, min(len(b), at+1+rng.IntN(200))
}

func slicesOf(pieces ...[]byte) []byte { return bytes.Join(pieces, nil) }

var swaps = [][2]string{
	{"base64", "quoted-printable"}, {"quoted-printable", "base64"}, {"7bit", "x-uuencode"}, {"8bit", "base64"},
	{"utf-8", "utf-7"}, {"iso-8859-1", "iso-2022-jp"}, {"us-ascii", "utf-16"}, {"UTF-8", "gb18030"}, {"UTF-8", "x-nothing"},
	{"text/plain", "text/html"}, {"text/html", "message/rfc822"}, {"text/plain", "application/pkcs7-mime"}, {"multipart/mixed", "multipart/alternative"},
	{"multipart/", "message/"}, {"boundary=", "boundary*0="}, {"name=", "name*="}, {"\"", ""}, {";", ""}, {"<", ""}, {": ", ":"}, {"--", "-"}, {"=", "=="}, {"@", " at "},
}

var special = []string{
	"\r\n\r\n", "\n--", "--\n", "\x00", "\xff\xfe", "=?utf-8?B?", "?=", "\n\n--b\n", "\r", "=", "=\n", ";\n", "\"", "<", ">", "(", ")",
	"Content-Type: multipart/mixed; boundary=b\n\n--b\n", "Content-Transfer-Encoding: base64\n", "Content-Type: message/rfc822\n\n",
	"Content-Transfer-Encoding: quoted-printable\n", "\xef\xbb\xbf", "\nFrom x Mon Jan 1\n", "*0*=", "%zz", ":;", "\x1b$B", "charset=utf-7;",
	"Content-Type: application/pkcs7-mime\n", "\n-----BEGIN PGP MESSAGE-----\n", "\nFinal-Recipient: rfc822; ", "Re: [a] ", "<!--", "<style>", "&#x0;", "+AAA-", "begin 644 x\n",
	"Date: Tue, 24 Nov 2026 09:15:00 XYZ\n", "Message-ID: (", "References: <", "\u202e", "\u2028",
}
