package bus

import (
	"slices"
	"testing"
	"time"
)

func TestPollersAnswerTogether(t *testing.T) {
	b, err := Start(t.Context(), Options{Dir: t.TempDir(), MaxStore: 128 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(t.Context())
	if got, err := b.AskPollers(t.Context(), 50*time.Millisecond); err != nil || len(got) != 0 {
		t.Errorf("nobody serves: %q, %v", got, err)
	}
	for _, pieces := range [][]string{{"a", "b"}, {"c"}} {
		stop, err := b.ServePollers(func() (out [][]byte) {
			for _, p := range pieces {
				out = append(out, []byte(p))
			}
			return out
		})
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	got, err := b.AskPollers(t.Context(), time.Second)
	var all []string
	for _, p := range got {
		all = append(all, string(p))
	}
	slices.Sort(all)
	if err != nil || !slices.Equal(all, []string{"a", "b", "c"}) {
		t.Errorf("%q, %v", all, err)
	}
}
