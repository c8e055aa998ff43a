package tlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mailkeep/mailkeep/internal/durable"
	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/tlog"
)

// An authority is a time stamp authority: openssl, with a root and a certificate
// of its own.
type authority struct{ dir string }

const tsaConfig = `[tsa]
default_tsa = main
[main]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_chain = no
[ext]
extendedKeyUsage = critical,timeStamping
basicConstraints = CA:false
[ca]
basicConstraints = critical,CA:true
`

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{t.TempDir()}
	writeFile(t, filepath.Join(a.dir, "tsa.cnf"), tsaConfig)
	writeFile(t, filepath.Join(a.dir, "serial"), "01\n")
	for _, args := range []string{
		"req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=root.example.org",
		"req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa.example.org",
		"x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile tsa.cnf -extensions ext -out tsa.pem",
	} {
		a.openssl(t, strings.Fields(args)...)
	}
	return a
}

func (a authority) openssl(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = a.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

func (a authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(a.file("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("no root")
	}
	return pool
}

// stamp answers a request.
func (a authority) stamp(t *testing.T, query []byte) []byte {
	t.Helper()
	writeFile(t, a.file("query"), string(query))
	a.openssl(t, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
	b, err := os.ReadFile(a.file("reply"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A witness is one by c2sp.org/tlog-witness, for one log.
type witness struct {
	name    string
	private ed25519.PrivateKey
	log     note.Verifier
	size    uint64
	root    string
	now     func() time.Time
	asked   []string // status of each answer
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	v, err := note.NewVerifier(key(t).VKey(0))
	if err != nil {
		t.Fatal(err)
	}
	return &witness{name: "witness.example.org/w1", private: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)), log: v, now: time.Now}
}

func (w *witness) public() []byte {
	return append([]byte{4}, w.private.Public().(ed25519.PublicKey)...)
}

func (w *witness) id() []byte {
	sum := sha256.Sum256(append([]byte(w.name+"\n"), w.public()...))
	return sum[:4]
}

func (w *witness) vkey() string {
	return fmt.Sprintf("%s+%x+%s", w.name, w.id(), base64.StdEncoding.EncodeToString(w.public()))
}

// add answers add-checkpoint.
func (w *witness) add(body []byte) (int, []byte) {
	status, answer := w.judge(body)
	w.asked = append(w.asked, strconv.Itoa(status))
	return status, answer
}

func (w *witness) judge(body []byte) (int, []byte) {
	head, signed, _ := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if err != nil {
		return 400, nil
	}
	n, err := note.Open([]byte(signed), note.VerifierList(w.log))
	if err != nil {
		return 403, nil
	}
	text := strings.Split(n.Text, "\n")
	size, err := strconv.ParseUint(text[1], 10, 64)
	switch {
	case err != nil || old > size:
		return 400, nil
	case old != w.size:
		return 409, fmt.Appendf(nil, "%d\n", w.size)
	case !w.follows(lines[1:], size, text[2]):
		return 422, nil
	}
	w.size, w.root = size, text[2]
	at := uint64(w.now().Unix())
	sig := ed25519.Sign(w.private, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n", at)+n.Text))
	raw := append(binary.BigEndian.AppendUint64(w.id(), at), sig...)
	return 200, fmt.Appendf(nil, "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(raw))
}

// follows verifies the consistency proof.
func (w *witness) follows(lines []string, size uint64, root string) bool {
	var proof []mail.Digest
	for _, s := range lines {
		h, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(h) != 32 {
			return false
		}
		proof = append(proof, mail.Digest(h))
	}
	head := func(size uint64, root string) tlog.Checkpoint {
		b, _ := base64.StdEncoding.DecodeString(root)
		if len(b) != 32 {
			return tlog.Checkpoint{Size: size}
		}
		return tlog.Checkpoint{Size: size, Root: mail.Digest(b)}
	}
	return tlog.CheckConsistency(proof, head(w.size, w.root), head(size, root)) == nil
}

// A world is an archive with those who vouch for it.
type world struct {
	*rig
	fsys    *durabletest.FS
	tsa     authority
	witness *witness
	down    map[string]bool
	replay  []byte // what the authority answers in place of a stamp; nil: one
	now     time.Time
	anchors durable.FS
}

func newWorld(t *testing.T) *world {
	t.Helper()
	fsys, _ := golden(t)
	w := &world{fsys: fsys, tsa: newAuthority(t), witness: newWitness(t), down: map[string]bool{}, now: time.Now().Truncate(time.Second)}
	w.rig = started(t, fsys, 8<<10)
	w.n = 100
	w.anchors = sub(t, fsys, "anchors")
	return w
}

const (
	tsaURL     = "https://tsa.example.org/stamp"
	witnessURL = "https://witness.example.org/"
)

// anchorer makes one for the world; nil roots trust no authority.
func (w *world) anchorer(t *testing.T) *tlog.Anchorer {
	t.Helper()
	wit, err := tlog.NewWitness(witnessURL, w.witness.vkey())
	if err != nil {
		t.Fatal(err)
	}
	return tlog.NewAnchorer(tlog.AnchorOptions{
		FS: w.anchors, View: tlog.NewView(sub(t, w.fsys, "tlog/0000"), trust(t)), Head: w.sign,
		TSAs: []string{tsaURL}, Roots: w.tsa.roots(t), Witnesses: []*tlog.Witness{wit},
		Now: func() time.Time { return w.now }, Logger: logger(t),
		Post: func(_ context.Context, url, kind string, body []byte) (int, []byte, error) {
			if w.down[url] {
				return 0, nil, errors.New("connection refused")
			}
			if url == tsaURL && kind == "application/timestamp-query" {
				if w.replay != nil {
					return 200, w.replay, nil
				}
				return 200, w.tsa.stamp(t, body), nil
			}
			if url == witnessURL+"add-checkpoint" {
				status, answer := w.witness.add(body)
				return status, answer, nil
			}
			return 404, nil, nil
		},
	})
}

// claims verifies the anchors.
func (w *world) claims(t *testing.T, fsys *durabletest.FS) ([]tlog.Claim, []string) {
	t.Helper()
	wit, err := tlog.NewWitness(witnessURL, w.witness.vkey())
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	claims, err := tlog.Anchors(tlog.AnchorCheck{FS: sub(t, fsys, "anchors"), Trust: trust(t), Roots: w.tsa.roots(t), Witnesses: []*tlog.Witness{wit},
		Found: func(f tlog.Finding) {
			if !f.Note {
				found = append(found, f.Where+": "+f.Detail)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	return claims, found
}

// Anchors are stored with all that verifies them, by us, by verify.py and by
// openssl; an archive that was wholly rolled back behind them is found.
func TestAnchors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := copyOf(w.fsys)
	a := w.anchorer(t)
	for range 2 {
		w.grow(t, 10)
		if wait := a.Anchor(t.Context()); wait < 50*time.Minute {
			t.Errorf("next in %v: %v", wait, a.Healthy())
		}
		w.now = w.now.Add(time.Hour)
	}
	if got := a.Last(); got.Size != w.log.Latest().Size || len(got.By) != 2 {
		t.Errorf("last anchor %+v", got)
	}
	w.now = w.now.Add(-time.Minute)
	if again := w.anchorer(t); again.Last().Size != a.Last().Size || again.Anchor(t.Context()) != time.Minute {
		t.Errorf("another process knows of %+v", again.Last())
	}
	if got := strings.Join(w.witness.asked, " "); got != "200 200" {
		t.Errorf("the witness answered %s", got)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	claims, found := w.claims(t, w.fsys)
	if len(claims) != 2 || len(found) > 0 || claims[0].Before.IsZero() {
		t.Fatalf("claims %+v, found %q", claims, found)
	}
	if report, found := check(t, w.fsys, claims...); len(found) > 0 || report.Claims != 2 {
		t.Errorf("%+v, found %q", report, found)
	}
	args := []string{"--vkey", key(t).VKey(0), "--tsa-ca", w.tsa.file("ca.pem"), "--witness", w.witness.vkey()}
	if status, out := verifyPy(t, append([]string{"archive", onDisk(t, w.fsys)}, args...)...); status != 0 || strings.Contains(out, "note:") {
		t.Errorf("verify.py: %d\n%s", status, out)
	}

	// Ledger and log as they were before, with everything in them good.
	replace(t, w.fsys, old, "ledger/0000")
	replace(t, w.fsys, old, "tlog/0000")
	if _, found := check(t, w.fsys, claims...); len(found) == 0 {
		t.Error("Check does not find that the archive was rolled back behind its anchors")
	}
	if status, out := verifyPy(t, append([]string{"archive", onDisk(t, w.fsys)}, args...)...); status != 1 || !strings.Contains(out, "rolled back") {
		t.Errorf("verify.py: %d\n%s", status, out)
	}
	// And so does the witness, when the older copy asks it again.
	w.rig = started(t, w.fsys, 8<<10)
	w.now = w.now.Add(time.Hour)
	a = w.anchorer(t)
	a.Anchor(t.Context())
	if err := a.Healthy(); mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), "has seen") {
		t.Errorf("the witness was asked with an older copy: %v", err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// What a fork asks a witness for is refused, and that is an alarm.
func TestWitnessRefusesAFork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.witness.size, w.witness.root = 5, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	a := w.anchorer(t)
	w.grow(t, 10)
	a.Anchor(t.Context())
	if err := a.Healthy(); mail.KindOf(err) != mail.Corrupt || mail.HintOf(err) == "" || strings.Join(w.witness.asked, " ") != "409 422" {
		t.Errorf("%v, answers %v", err, w.witness.asked)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// Each altered file of an anchor is found.
func TestAlteredAnchors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grow(t, 10)
	w.anchorer(t).Anchor(t.Context())
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	for name, content := range tree(t, w.fsys, "anchors") {
		if strings.HasSuffix(name, ".pem") {
			continue // for convenience: the token has the certificates too
		}
		files++
		for _, at := range []int{len(content) / 3, len(content) / 2, len(content) - 20} {
			bad := copyOf(w.fsys)
			if err := bad.Flip(name, int64(at), 0); err != nil {
				t.Fatal(err)
			}
			if _, found := w.claims(t, bad); len(found) == 0 {
				t.Errorf("%s altered at %d of %d: not found", name, at, len(content))
			}
		}
	}
	if files != 3 {
		t.Errorf("%d files", files)
	}
	// A stamp of another checkpoint.
	for name, content := range tree(t, w.fsys, "anchors") {
		if strings.HasSuffix(name, "/checkpoint") {
			other, _, err := trust(t).Open([]byte(content))
			if err != nil {
				t.Fatal(err)
			}
			other.Note = append([]byte("x"), other.Note...)
			stamp := tree(t, w.fsys, "anchors")[strings.Replace(name, "checkpoint", "1-tsa.example.org-stamp.tsr", 1)]
			if _, err := tlog.OpenStamp([]byte(stamp), other.Note, w.tsa.roots(t)); mail.KindOf(err) != mail.Corrupt {
				t.Errorf("stamp of something else: %v", err)
			}
		}
	}
	// An authority that nobody vouches for.
	other := *w
	other.tsa = newAuthority(t)
	if _, found := other.claims(t, w.fsys); len(found) != 1 {
		t.Errorf("another root: %q", found)
	}
}

// An authority that answers with an old stamp, even one of the same checkpoint, is
// not believed: nobody knows when it was asked for.
func TestReplayedStamp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.grow(t, 1)
	w.anchorer(t).Anchor(t.Context())
	for name, content := range tree(t, w.fsys, "anchors") {
		if strings.HasSuffix(name, ".tsr") {
			w.replay = []byte(content)
		}
	}
	removeAll(t, w.fsys, "anchors")
	w.anchors = sub(t, w.fsys, "anchors")
	a := w.anchorer(t)
	a.Anchor(t.Context())
	if err := a.Healthy(); mail.KindOf(err) != mail.Corrupt || !strings.Contains(err.Error(), "another request") {
		t.Errorf("healthy: %v", err)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
}

// Who is down is asked again after a pause that doubles; nobody waits for it.
func TestAnchorsBackOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.down[tsaURL] = true
	a := w.anchorer(t)
	w.grow(t, 1)
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		if wait := a.Anchor(t.Context()); wait != want {
			t.Errorf("next in %v, not %v", wait, want)
		}
		w.now = w.now.Add(want)
	}
	if err := a.Healthy(); mail.KindOf(err) != mail.Temporary {
		t.Errorf("healthy: %v", err)
	}
	w.down[tsaURL] = false
	if wait := a.Anchor(t.Context()); wait != 45*time.Minute || a.Healthy() != nil {
		t.Errorf("next in %v, %v", wait, a.Healthy())
	}
	if got := strings.Join(w.witness.asked, " "); got != "200" {
		t.Errorf("the witness answered %s", got)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if _, found := w.claims(t, w.fsys); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

// Run asks at the interval and ends with its context.
func TestAnchorerRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		wit, err := tlog.NewWitness(witnessURL, newWitness(t).vkey())
		if err != nil {
			t.Fatal(err)
		}
		a := tlog.NewAnchorer(tlog.AnchorOptions{
			FS: durabletest.New(), Interval: 10 * time.Minute, Witnesses: []*tlog.Witness{wit},
			Head: func(context.Context) (tlog.Checkpoint, error) { asked++; return tlog.Checkpoint{}, nil },
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		time.Sleep(time.Hour - time.Minute)
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || asked != 6 {
			t.Errorf("asked %d times, %v", asked, err)
		}
	})
}

func TestBadWitnessKeys(t *testing.T) {
	t.Parallel()
	good := newWitness(t).vkey()
	for _, bad := range []string{"", "x", "a+b+c", key(t).VKey(0), good[:len(good)-4], strings.Replace(good, "w1", "w2", 1)} {
		if _, err := tlog.NewWitness(witnessURL, bad); mail.KindOf(err) != mail.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
