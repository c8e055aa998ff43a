package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A command is a process that was started, with its ends of the pipes.
type command struct {
	*exec.Cmd
	in   io.WriteCloser
	out  io.ReadCloser
	said *tail
}

// killAll ends the process and, where that is known, what it started.
func (c *command) killAll() {
	if c.Process.Kill() == nil { // it has not been waited for, so its number is its own
		killGroup(c.Process.Pid)
	}
}

// spawn starts a process in namespaces of its own, or, where that is not
// allowed, without. The guard tells which.
func (p *Pool) spawn(t task) (*command, Guard, error) {
	p.mu.Lock()
	plain := p.plain
	p.mu.Unlock()
	if plain == nil {
		c, err := launch(t, true)
		if err == nil {
			return c, Guard{Name: GuardNamespaces}, nil
		}
		plain = err
	}
	c, err := launch(t, false)
	if err != nil {
		return nil, Guard{}, err
	}
	p.mu.Lock()
	p.plain = plain // it worked without, so that was why
	p.mu.Unlock()
	return c, Guard{Name: GuardNamespaces, Missing: clean(plain.Error(), maxDetail)}, nil
}

// pipeWait is how long the pipes of a process that has ended are still read:
// what it started may hold them open.
const pipeWait = 2 * time.Second

// launch starts this program for a task.
func launch(t task, isolated bool) (*command, error) {
	exe, err := program()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	// The name stays: a program may look at it to know what it is.
	cmd.Args, cmd.Env, cmd.Dir = t.args(os.Args[0]), []string{}, "/"
	cmd.SysProcAttr, cmd.WaitDelay = attributes(isolated), pipeWait
	// Not StdoutPipe, which Wait closes before all is read.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &command{Cmd: cmd, out: read, said: &tail{}}
	cmd.Stdout, cmd.Stderr = write, c.said
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	err = cmd.Start()
	_ = write.Close() // the process has it
	if err != nil {
		_ = read.Close()
		return nil, fmt.Errorf("start a process for documents: %w", err)
	}
	return c, nil
}

// compileWait bounds the compilation of the engine, on a busy machine too.
const compileWait = 5 * time.Minute

// compile fills the cache in a process of its own.
func (p *Pool) compile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, compileWait)
	defer cancel()
	c, err := launch(task{Do: doCompile, Memory: p.o.Memory, CacheDir: p.o.CacheDir}, false)
	if err != nil {
		return err
	}
	defer c.out.Close()
	defer context.AfterFunc(ctx, c.killAll)()
	if err := c.Wait(); err != nil {
		return fmt.Errorf("compile the engine for PDF: %w: %s", err, clean(c.said.String(), maxDetail))
	}
	return nil
}

// tailSize is how much is kept of what a process says before it ends.
const tailSize = 4 << 10

// A tail keeps the first octets that are written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b[:min(len(b), tailSize-len(t.b))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
