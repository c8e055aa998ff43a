package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/mailkeep/mailkeep/internal/app"
)

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 5 * time.Second
	// maxBars bounds the rows on a terminal, and the lines of one report.
	maxBars = 12
)

// A progress shows how far work has come: bars on a terminal that can move its
// cursor, elsewhere a line per subject every few seconds. The application only
// leaves the newest state; one goroutine, which stop waits for, does the writing,
// so that a slow terminal never holds up the work.
type progress struct {
	out   io.Writer
	bars  *mpb.Progress // nil where out is no terminal
	shown map[string]*mpb.Bar
	done  chan struct{}
	ended sync.WaitGroup

	mu      sync.Mutex
	current map[string]app.Progress // by phase and subject; what changed since it was shown
}

// startProgress returns a running progress on standard error.
func (p *program) startProgress() *progress {
	g := newProgress(p.stderr, isTerminal(p.stderr) && p.getenv("TERM") != "dumb")
	g.start()
	return g
}

func newProgress(out io.Writer, terminal bool) *progress {
	g := &progress{out: out, done: make(chan struct{}), current: make(map[string]app.Progress)}
	if terminal {
		g.shown = make(map[string]*mpb.Bar)
		g.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(barEvery))
	}
	return g
}

func (g *progress) start() {
	every := lineEvery
	if g.bars != nil {
		every = barEvery
	}
	g.ended.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.show()
			case <-g.done:
				return
			}
		}
	})
}

// console returns where the application shows what it does. Log lines go above
// the bars.
func (g *progress) console() app.Console {
	if g.bars != nil {
		return app.Console{Logs: g.bars, Progress: g.update}
	}
	return app.Console{Logs: g.out, Progress: g.update}
}

func (g *progress) update(p app.Progress) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current[string(p.Phase)+" "+p.Subject] = p
}

// stop ends the display and waits until nothing more is written. Bars vanish;
// the result that follows says more than they did.
func (g *progress) stop() {
	close(g.done)
	g.ended.Wait()
	if g.bars == nil {
		return
	}
	for _, b := range g.shown {
		b.Abort(true)
	}
	g.bars.Wait()
}

// show writes what changed since it was called last.
func (g *progress) show() {
	g.mu.Lock()
	changed := g.current
	g.current = make(map[string]app.Progress)
	g.mu.Unlock()
	keys := slices.Sorted(maps.Keys(changed))
	if g.bars != nil {
		for _, key := range keys {
			g.bar(key, changed[key])
		}
		return
	}
	for i, key := range keys {
		if i == maxBars {
			fmt.Fprintf(g.out, "mailkeep: and %d more\n", len(keys)-i)
			return
		}
		printLine(g.out, "mailkeep: "+key+": "+progressText(changed[key]))
	}
}

// bar makes or moves the bar of one subject.
func (g *progress) bar(key string, p app.Progress) {
	b := g.shown[key]
	if b == nil {
		if p.Finished || len(g.shown) == maxBars {
			return
		}
		b = g.bars.AddBar(p.Total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(printable(key), decor.WCSyncSpaceR), decor.CountersNoUnit("%d / %d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace)))
		g.shown[key] = b
	}
	if p.Finished {
		b.Abort(true)
		delete(g.shown, key)
		return
	}
	b.SetTotal(p.Total, false)
	b.SetCurrent(p.Done)
}

func progressText(p app.Progress) string {
	text := grouped(p.Done)
	if p.Total > 0 {
		text += " of " + grouped(p.Total)
	}
	if p.Octets > 0 {
		text += ", " + octets(p.Octets)
	}
	if p.Finished {
		text += ", finished"
	}
	return text
}
