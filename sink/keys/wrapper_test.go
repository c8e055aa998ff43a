package keys_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/mailkeep/mailkeep/internal/durable/durabletest"
	"github.com/mailkeep/mailkeep/mail"
	"github.com/mailkeep/mailkeep/sink/keys"
)

var group = keys.Group{Class: 3, Year: 2031}

func kekFile(t testing.TB, fsys *durabletest.FS) *keys.KEKFile {
	t.Helper()
	f := keys.NewKEKFile(fsys, "keks", nil)
	if err := f.Generate(); err != nil {
		t.Fatal(err)
	}
	return f
}

func master(t testing.TB, seed byte) *keys.Master {
	t.Helper()
	s := rootSecret(seed)
	m, err := keys.NewMaster(base64.StdEncoding.EncodeToString(s[:]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func vault(t testing.TB, v *transit) *keys.Vault {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(v.server.Certificate())
	w, err := keys.NewVault(keys.VaultConfig{Address: v.server.URL, Key: "mailkeep", Token: v.tokenNow, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// each runs a test with each key source; other is the same kind of source with
// other keys.
func each(t *testing.T, test func(t *testing.T, w, other keys.Wrapper)) {
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		test(t, kekFile(t, durabletest.New()), kekFile(t, durabletest.New()))
	})
	t.Run("master", func(t *testing.T) {
		t.Parallel()
		test(t, master(t, 1), master(t, 2))
	})
	t.Run("vault", func(t *testing.T) {
		t.Parallel()
		test(t, vault(t, newTransit(t)), vault(t, newTransit(t)))
	})
}

func newEpoch(t testing.TB, w keys.Wrapper, g keys.Group, after uint32) keys.Epoch {
	t.Helper()
	e, err := w.NewEpoch(t.Context(), g, after)
	if err != nil {
		t.Fatal(err)
	}
	if e.Group != g || e.Version <= after {
		t.Fatalf("new epoch %s after %d of %s", e, after, g)
	}
	return e
}

func TestWrapperSealsAndBinds(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w, other keys.Wrapper) {
		first := newEpoch(t, w, group, 0)
		if again := newEpoch(t, w, group, 0); again != first {
			t.Errorf("the current epoch is %s and then %s", first, again)
		}
		second := newEpoch(t, w, group, first.Version)
		elsewhere := newEpoch(t, w, keys.Group{Class: 3, Year: 2032}, 0)
		newEpoch(t, other, group, first.Version)
		plain, aad := []byte("a secret of some length"), []byte("its place")
		box, err := w.Wrap(t.Context(), first, plain, aad)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(box, plain) {
			t.Fatal("the box shows what is in it")
		}
		if b, err := w.Unwrap(t.Context(), first, box, aad); err != nil || !bytes.Equal(b, plain) {
			t.Fatalf("%q, %v", b, err)
		}
		refused := func(what string, w keys.Wrapper, e keys.Epoch, box, aad []byte) {
			t.Helper()
			b, err := w.Unwrap(t.Context(), e, box, aad)
			if k := mail.KindOf(err); k != mail.Corrupt && k != mail.Denied && k != mail.NotFound {
				t.Errorf("%s: %q, %v (%s)", what, b, err, k)
			}
		}
		refused("another place", w, first, box, []byte("another"))
		refused("another epoch", w, second, box, aad)
		refused("another group", w, elsewhere, box, aad)
		refused("an epoch that is not there", w, keys.Epoch{Group: keys.Group{Class: 9}, Version: 7}, box, aad)
		refused("another source", other, first, box, aad)
		refused("nothing", w, first, nil, aad)
		for i := range box {
			bad := bytes.Clone(box)
			bad[i] ^= 1
			if b, err := w.Unwrap(t.Context(), first, bad, aad); err == nil && !bytes.Equal(b, plain) {
				t.Fatalf("octet %d changed: %q", i, b)
			}
			refused("cut", w, first, box[:i], aad)
		}
	})
}

// TestWrapperLargest: the largest node set goes through.
func TestWrapperLargest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w, _ keys.Wrapper) {
		plain := make([]byte, 40+35*keys.Leaves/2)
		for i := range plain {
			plain[i] = byte(rand.Uint32())
		}
		e := newEpoch(t, w, group, 0)
		box, err := w.Wrap(t.Context(), e, plain, []byte("x"))
		if err != nil || len(box) > 2<<20 {
			t.Fatalf("%d octets, %v", len(box), err)
		}
		if b, err := w.Unwrap(t.Context(), e, box, []byte("x")); err != nil || !bytes.Equal(b, plain) {
			t.Fatal(err)
		}
	})
}

func TestWrapperDestroys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w, _ keys.Wrapper) {
		ctx, aad := t.Context(), []byte("x")
		if _, ok := w.(*keys.Master); ok {
			for _, v := range []uint32{0, 1} {
				if err := w.DestroyEpoch(ctx, keys.Epoch{Group: group, Version: v}); !errors.Is(err, keys.ErrCannotDestroy) || mail.KindOf(err) != mail.Invalid {
					t.Errorf("%v", err)
				}
			}
			return
		}
		var boxes [][]byte
		var epochs []keys.Epoch
		for v := range uint32(4) {
			e := newEpoch(t, w, group, v)
			box, err := w.Wrap(ctx, e, []byte("secret"), aad)
			if err != nil {
				t.Fatal(err)
			}
			epochs, boxes = append(epochs, e), append(boxes, box)
		}
		check := func(gone int) {
			t.Helper()
			for i, e := range epochs {
				_, err := w.Unwrap(ctx, e, boxes[i], aad)
				if destroyed := errors.Is(err, keys.ErrNoKEK); destroyed != (i < gone) || !destroyed && err != nil {
					t.Fatalf("epoch %s with %d destroyed: %v", e, gone, err)
				}
			}
		}
		for _, destroy := range []struct{ at, gone int }{{-1, 0}, {1, 2}, {1, 2}, {0, 2}, {3, 4}, {3, 4}} {
			e := keys.Epoch{Group: group}
			if destroy.at >= 0 {
				e = epochs[destroy.at]
			}
			if err := w.DestroyEpoch(ctx, e); err != nil {
				t.Fatalf("destroy %s: %v", e, err)
			}
			check(destroy.gone)
		}
		if e := newEpoch(t, w, group, 0); e.Version <= epochs[3].Version {
			t.Errorf("the version of %s was there before", e)
		}
		if err := w.DestroyEpoch(ctx, keys.Epoch{Group: group, Version: 99}); !errors.Is(err, keys.ErrNoKEK) {
			t.Errorf("destroy what never was: %v", err)
		}
	})
}

func TestWrapperAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w, _ keys.Wrapper) {
		var all sync.WaitGroup
		for range 6 {
			all.Go(func() {
				e, err := w.NewEpoch(t.Context(), group, 0)
				if err != nil {
					t.Error(err)
					return
				}
				box, err := w.Wrap(t.Context(), e, []byte("p"), []byte("a"))
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := w.Unwrap(t.Context(), e, box, []byte("a")); err != nil || string(b) != "p" {
					t.Errorf("%q, %v", b, err)
				}
			})
		}
		all.Wait()
	})
}

func TestWrapperFollowsCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := vault(t, newTransit(t))
	if _, err := w.NewEpoch(ctx, group, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w, other keys.Wrapper) {
		ctx, archive := t.Context(), [16]byte{1}
		c, err := keys.NewCheck(ctx, w, archive)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.NewCheck(ctx, other, archive); err != nil {
			t.Fatal(err)
		}
		damaged := &keys.Check{Version: c.Version, Box: append([]byte{}, c.Box[:len(c.Box)-4]...)}
		for what, tc := range map[string]struct {
			w       keys.Wrapper
			archive [16]byte
			c       *keys.Check
			want    mail.Kind
			ok      bool
		}{
			"the right one":        {w, archive, c, 0, true},
			"none, not encrypted":  {nil, archive, nil, 0, true},
			"none":                 {nil, archive, c, mail.Invalid, false},
			"no check yet":         {w, archive, nil, mail.NotFound, false},
			"another source":       {other, archive, c, mail.Denied, false},
			"of another archive":   {w, [16]byte{2}, c, mail.Denied, false},
			"damaged":              {w, archive, damaged, mail.Denied, false},
			"of no epoch":          {w, archive, &keys.Check{Version: 77, Box: c.Box}, mail.Denied, false},
			"an empty check value": {w, archive, &keys.Check{Version: 1}, mail.Denied, false},
		} {
			err := keys.Verify(ctx, tc.w, tc.archive, tc.c)
			if tc.ok && err != nil || !tc.ok && mail.KindOf(err) != tc.want || mail.KindOf(err) == mail.Denied && mail.HintOf(err) == "" {
				t.Errorf("%s: %v (%s, %q)", what, err, mail.KindOf(err), mail.HintOf(err))
			}
		}
	})
}
