package vmguest

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// stdio is the agent's end of a program's streams: the other ends of its pipes, or the master of its terminal.
type stdio struct {
	hub     *hub
	target  agent.Target
	drop    chan struct{} // closed when streams that nobody has asked for are waited for no more
	once    sync.Once
	outputs sync.WaitGroup // copies of output that go on

	mu     sync.Mutex
	master *os.File
}

func newStdio(h *hub, t agent.Target) *stdio {
	return &stdio{hub: h, target: t, drop: make(chan struct{})}
}

// pipe makes a pipe and returns the program's end; the agent's is copied from or to the host's stream. The
// caller closes the program's end when the program has it.
func (s *stdio) pipe(fd agent.FD) (theirs int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, err
	}
	ours, theirs := p[0], p[1]
	if fd == agent.Stdin {
		ours, theirs = p[1], p[0]
	}
	// The agent's end alone: the flag is the open file's, and each end is one of its own.
	if err := unix.SetNonblock(ours, true); err != nil {
		return -1, errors.Join(err, unix.Close(ours), unix.Close(theirs))
	}
	f := os.NewFile(uintptr(ours), string(fd))
	slot := s.slot(fd)
	if fd == agent.Stdin {
		go s.feed(f, slot, f)
	} else {
		s.outputs.Go(func() { s.collect(f, slot, true) })
	}
	return theirs, nil
}

// terminal takes over the master of the program's terminal.
func (s *stdio) terminal(master int) error {
	if err := unix.SetNonblock(master, true); err != nil {
		return errors.Join(err, unix.Close(master))
	}
	f := os.NewFile(uintptr(master), "terminal")
	s.mu.Lock()
	s.master = f
	s.mu.Unlock()
	in, out := s.slot(agent.Stdin), s.slot(agent.Stdout)
	go s.feed(f, in, nil)
	s.outputs.Go(func() {
		s.collect(f, out, false)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.master = nil
		f.Close()
	})
	return nil
}

// slot is where the host's stream will be. It is taken before the goroutine that waits there starts: one that
// came to run after finish would make the hub remember it for ever.
func (s *stdio) slot(fd agent.FD) <-chan *agent.Stream { return s.hub.slot(key{s.target, fd}) }

// stream waits for the host's stream; nil when there is none and it is waited for no more.
func (s *stdio) stream(slot <-chan *agent.Stream) *agent.Stream {
	select {
	case st := <-slot:
		return st
	case <-s.drop:
	}
	select { // both were there
	case st := <-slot:
		return st
	default:
		return nil
	}
}

// feed copies the host's input to the program, and ends it with the host's: by closing the pipe, or as Ctrl-D
// does on a terminal.
func (s *stdio) feed(to io.Writer, slot <-chan *agent.Stream, pipe io.Closer) {
	in := s.stream(slot)
	if in == nil {
		if pipe != nil {
			pipe.Close()
		}
		return
	}
	_, err := io.Copy(to, in)
	if pipe != nil {
		pipe.Close()
	} else if err == nil {
		_, _ = to.Write([]byte{4})
	}
	in.Close() // nobody reads it any more
}

// collect copies the program's output to the host until the last writer has gone. A host that reads no more
// breaks a pipe, as it would on the host; a terminal's output is thrown away instead.
func (s *stdio) collect(from *os.File, slot <-chan *agent.Stream, pipe bool) {
	if pipe {
		defer from.Close()
	}
	out := s.stream(slot)
	if out == nil {
		_, _ = io.Copy(io.Discard, from)
		return
	}
	if pipe {
		go func() {
			out.Abandoned()
			from.Close()
		}()
	}
	// EIO is the end of a terminal.
	if _, err := io.CopyBuffer(out, struct{ io.Reader }{from}, make([]byte, 64<<10)); err != nil && !pipe {
		_, _ = io.Copy(io.Discard, from)
	}
	out.Close()
}

// resize sets the terminal's size. A program without one has no size.
func (s *stdio) resize(size agent.Size) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		return agent.Refuse(agent.CodeState, "it has no terminal")
	}
	raw, err := s.master.SyscallConn()
	if err != nil {
		return err
	}
	var ioerr error
	err = raw.Control(func(fd uintptr) {
		ioerr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Cols})
	})
	return errors.Join(err, ioerr)
}

// release stops the wait for streams that have not been opened.
func (s *stdio) release() { s.once.Do(func() { close(s.drop) }) }

// finish returns when all output has been sent. The program's processes are gone.
func (s *stdio) finish() {
	s.release()
	s.outputs.Wait()
	s.hub.forget(s.target)
}
