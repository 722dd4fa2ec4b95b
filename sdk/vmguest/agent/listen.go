package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// listen reads the guest's lines until the channel ends.
func (c *Client) listen() {
	r := buffered(c.control)
	for {
		b, err := readLine(r, MaxGuestLine)
		switch {
		case errors.Is(err, errLong):
			c.fail(fmt.Errorf("guest sent a line of more than %d bytes", MaxGuestLine))
			return
		case errors.Is(err, io.EOF):
			c.fail(ErrClosed)
			return
		case err != nil:
			c.fail(fmt.Errorf("%w: %w", ErrClosed, err))
			return
		}
		var l line
		if err := json.Unmarshal(b, &l); err != nil {
			c.fail(fmt.Errorf("guest sent a line that is not the protocol's: %w", err))
			return
		}
		if l.Event.Kind == "" {
			c.answered(l)
		} else if err := c.happened(l.Event); err != nil {
			c.fail(err)
			return
		}
	}
}

// answered passes a reply to who asked. Nobody may wait any more.
func (c *Client) answered(l line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.pending[l.ID]; ch != nil {
		delete(c.pending, l.ID) // a second answer has nobody to go to
		ch <- l
	}
}

// happened takes an event: an Enter's end goes to its Process, what is about an app must be about one of the
// pod's.
func (c *Client) happened(e Event) error {
	e.Text, e.Reason = clip(e.Text), clip(e.Reason)
	if e.Signal < 0 || e.Signal > 64 || e.Code < 0 || e.Code > 255 {
		return fmt.Errorf("guest reports exit code %d, signal %d", e.Code, e.Signal)
	}
	if e.Process != 0 {
		if e.Kind == EventExited {
			c.entered(e.Process, e)
		}
		return nil
	}
	switch e.Kind {
	case EventStarted, EventExited:
		if !c.knows(e.App) {
			return fmt.Errorf("guest reports an app %q, which the pod does not have", clip(e.App))
		}
	case EventUp, EventWarning, EventFailed:
	default:
		return nil // of a later version
	}
	if !c.events.put(e) {
		return fmt.Errorf("guest sent more than %d events that were not read", maxEvents)
	}
	return nil
}

func (c *Client) knows(app string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps[app]
}

// fail ends the session once; the first reason is the one.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = c.guard.reason(err)
	for id, ch := range c.exits {
		delete(c.exits, id)
		close(ch)
	}
	c.mu.Unlock()
	close(c.done)
	c.events.close()
	c.session.Close()
}
