package vmguest

import (
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// children are the processes of this program, which reaps every process of the guest whose parent has gone. It
// is the only one that waits: another wait for the same child finds that there is none (ECHILD), which linuxpod
// takes for what it is, the child's end.
type children struct {
	mu      sync.Mutex // held from fork to the entry in waiting, and from wait to its look there
	waiting map[int]func(unix.WaitStatus)
}

// start forks by f, which returns the child's pid, and has ended called with its status.
func (c *children) start(f func() (int, error), ended func(unix.WaitStatus)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := f()
	if err != nil {
		return err
	}
	if c.waiting == nil {
		c.waiting = map[int]func(unix.WaitStatus){}
	}
	c.waiting[pid] = ended
	return nil
}

// run reaps for ever.
func (c *children) run() {
	news := make(chan os.Signal, 1)
	signal.Notify(news, unix.SIGCHLD)
	for range news {
		for c.reap() {
		}
	}
}

// reap takes one child that has ended, if there is one.
func (c *children) reap() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ws unix.WaitStatus
	pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
	if errors.Is(err, unix.EINTR) {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	if ended := c.waiting[pid]; ended != nil {
		delete(c.waiting, pid)
		go ended(ws)
	}
	return true
}
