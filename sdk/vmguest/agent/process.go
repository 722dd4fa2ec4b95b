package agent

import (
	"context"
	"fmt"
)

// Process is a command that Enter runs in an app.
type Process struct {
	c      *Client
	target Target
	exit   chan Event
	// Stdin, Stdout and Stderr are its streams. With a terminal there is no Stderr. Closing Stdin is the end of
	// its input.
	Stdin, Stdout, Stderr *Stream
}

// Enter runs a command in a running app, under the app's confinement.
func (c *Client) Enter(ctx context.Context, spec EnterSpec) (*Process, error) {
	var r enterReply
	if err := c.call(ctx, OpEnter, spec, &r); err != nil {
		return nil, err
	}
	p := &Process{c: c, target: Target{Process: r.Process}, exit: c.exitOf(r.Process)}
	if p.exit == nil {
		return nil, fmt.Errorf("enter in the guest: it answered with process %d again, or with none", r.Process)
	}
	want := []FD{Stdin, Stdout, Stderr}
	if spec.TTY {
		want = want[:2]
	}
	for i, fd := range want {
		s, err := c.stream(Header{Kind: StreamEnter, Target: p.target, FD: fd})
		if err != nil {
			return nil, err
		}
		*[]**Stream{&p.Stdin, &p.Stdout, &p.Stderr}[i] = s
	}
	return p, nil
}

// Signal signals it.
func (p *Process) Signal(ctx context.Context, signal int) error {
	return p.c.Signal(ctx, p.target, signal)
}

// Resize sets the size of its terminal.
func (p *Process) Resize(ctx context.Context, s Size) error { return p.c.Resize(ctx, p.target, s) }

// Wait returns how it ended. Its output may still be on the way: read Stdout and Stderr to their ends.
func (p *Process) Wait(ctx context.Context) (Event, error) {
	select {
	case e, ok := <-p.exit:
		if !ok {
			return Event{}, p.c.Err()
		}
		return e, nil
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

// maxProcesses bounds what the guest can make the host remember.
const maxProcesses = 4096

// exitOf returns where the end of a process is told. The event may have come before the reply was looked at.
func (c *Client) exitOf(id uint64) chan Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.exits[id]
	if id == 0 || ch != nil && len(ch) == 0 {
		return nil
	}
	if ch == nil {
		ch = make(chan Event, 1)
		if c.err != nil {
			close(ch)
			return ch
		}
		c.exits[id] = ch
		return ch
	}
	delete(c.exits, id) // it has ended already
	return ch
}

// entered takes the end of a process of Enter.
func (c *Client) entered(id uint64, e Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.exits[id]; ch != nil {
		if len(ch) == 0 {
			ch <- e
			delete(c.exits, id)
		}
		return
	}
	if len(c.exits) < maxProcesses {
		ch := make(chan Event, 1)
		ch <- e
		c.exits[id] = ch
	}
}
