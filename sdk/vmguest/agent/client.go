package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// maxEvents is how many events wait for the host's attention. A pod has two an app, and warnings.
const maxEvents = 4096

// Client is the host's end. Its methods may be called from any goroutine.
type Client struct {
	session *yamux.Session
	guard   *guard
	control *yamux.Stream
	hello   Hello
	events  *queue
	done    chan struct{}

	write chan struct{} // holds one token: who writes a line

	mu      sync.Mutex
	err     error // why it ended
	last    uint64
	pending map[uint64]chan line
	apps    map[string]bool // of the spec that was started
	exits   map[uint64]chan Event
}

// Dial waits for the guest's agent on the channel and shakes hands. It owns the channel from here on: an end of
// ctx while it runs, and Close later, close it.
func Dial(ctx context.Context, channel io.ReadWriteCloser) (*Client, error) {
	stop := context.AfterFunc(ctx, func() { channel.Close() })
	c, err := dial(ctx, channel)
	if !stop() && err == nil {
		c.Close()
		err = ctx.Err()
	}
	if err != nil {
		channel.Close()
		return nil, errors.Join(ctx.Err(), err)
	}
	return c, nil
}

func dial(ctx context.Context, channel io.ReadWriteCloser) (*Client, error) {
	if err := awaitGreeting(channel); err != nil {
		return nil, err
	}
	g := &guard{ReadWriteCloser: channel}
	session, err := yamux.Client(&joined{ReadWriteCloser: g}, config(true))
	if err != nil {
		return nil, err
	}
	c := &Client{
		session: session, guard: g, events: newQueue(), done: make(chan struct{}), write: make(chan struct{}, 1),
		pending: map[uint64]chan line{}, exits: map[uint64]chan Event{},
	}
	if c.control, err = c.open(Header{Kind: StreamControl}); err != nil {
		session.Close()
		return nil, err
	}
	go c.listen()
	err = c.call(ctx, OpHello, Hello{Protocol: Protocol}, &c.hello)
	if err == nil && c.hello.Protocol != Protocol {
		err = fmt.Errorf("guest speaks protocol %d, this program %d: they are not of one plugin directory", c.hello.Protocol, Protocol)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("greet guest: %w", err)
	}
	return c, nil
}

// Hello is what the guest said of itself.
func (c *Client) Hello() Hello { return c.hello }

// Events is the guest's news in order. It is closed with the channel.
func (c *Client) Events() <-chan Event { return c.events.out }

// Done is closed when the channel is gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says why the channel is gone; nil while it is not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the session, and with it the guest: it powers off when its channel is gone.
// Events that have not been taken are lost.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.events.abandon()
	return nil
}

// Start has the guest run the pod. It returns when the guest has mounted everything and PID 1 of the pod lives;
// what becomes of the apps are events.
func (c *Client) Start(ctx context.Context, spec *PodSpec) error {
	if err := spec.Check(); err != nil {
		return fmt.Errorf("describe pod to the guest: %w", err)
	}
	c.mu.Lock()
	c.apps = map[string]bool{}
	for i := range spec.Pod.Apps {
		c.apps[spec.Pod.Apps[i].Name] = true
	}
	c.mu.Unlock()
	return c.call(ctx, OpStart, spec, nil)
}

// Signal signals an app's main process, or a process of Enter. One that has ended is no error.
func (c *Client) Signal(ctx context.Context, t Target, signal int) error {
	return c.call(ctx, OpSignal, signalBody{Target: t, Signal: signal}, nil)
}

// Kill ends what is left of the pod. It returns when every process is gone and what they wrote has been sent:
// the host's copies of the streams end by themselves then.
func (c *Client) Kill(ctx context.Context) error { return c.call(ctx, OpKill, nil, nil) }

// Resize sets the size of a terminal.
func (c *Client) Resize(ctx context.Context, t Target, s Size) error {
	return c.call(ctx, OpResize, resizeBody{Target: t, Size: s}, nil)
}

// Stats asks what the apps use.
func (c *Client) Stats(ctx context.Context) ([]AppStats, error) {
	var r statsReply
	if err := c.call(ctx, OpStats, nil, &r); err != nil {
		return nil, err
	}
	out := r.Apps[:0]
	for _, s := range r.Apps {
		if c.knows(s.App) {
			out = append(out, s)
		}
	}
	return out, nil
}

// Update changes limits of a running app: all that are not zero, or none.
func (c *Client) Update(ctx context.Context, app string, r poddir.Resources) error {
	return c.call(ctx, OpUpdate, updateBody{App: app, Resources: r}, nil)
}

// SetTime sets the guest's clock.
func (c *Client) SetTime(ctx context.Context, t time.Time) error {
	return c.call(ctx, OpSetTime, timeBody{Time: t}, nil)
}

// PowerOff ends the guest: by ACPI, or by a reboot where the VMM ends at that (kvmtool). Losing the channel on
// the way is what is expected of it.
func (c *Client) PowerOff(ctx context.Context, reboot bool) error {
	err := c.call(ctx, OpPowerOff, powerOffBody{Reboot: reboot}, nil)
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

// OpenStream connects one stream of an app (see Stream).
func (c *Client) OpenStream(app string, fd FD) (*Stream, error) {
	return c.stream(Header{Kind: StreamApp, Target: Target{App: app}, FD: fd})
}

func (c *Client) stream(h Header) (*Stream, error) {
	s, err := c.open(h)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", h.FD, err)
	}
	return &Stream{s: s, fd: h.FD}, nil
}

func (c *Client) open(h Header) (*yamux.Stream, error) {
	b, err := encode(h, maxHeader)
	if err != nil {
		return nil, err
	}
	// The session lets only so many streams wait for the guest's acceptance; the next one waits for ever.
	type opened struct {
		s   *yamux.Stream
		err error
	}
	ch := make(chan opened, 1)
	go func() {
		s, err := c.session.OpenStream()
		ch <- opened{s, err}
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var o opened
	select {
	case o = <-ch:
	case <-timer.C:
		c.fail(errors.New("guest accepts no streams"))
		o = <-ch
	}
	if o.err != nil {
		return nil, c.closed(o.err)
	}
	if _, err := o.s.Write(b); err != nil {
		o.s.Close()
		return nil, c.closed(err)
	}
	return o.s, nil
}

// closed names the reason of the end, when it is the end.
func (c *Client) closed(err error) error {
	if reason := c.Err(); reason != nil {
		return reason
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

// call sends a request and waits for its reply.
func (c *Client) call(ctx context.Context, op string, body, into any) error {
	r := request{Op: op}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r.Body = b
	}
	answer := make(chan line, 1)
	c.mu.Lock()
	c.last++
	r.ID = c.last
	c.pending[r.ID] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, r.ID)
		c.mu.Unlock()
	}()
	if err := c.send(ctx, r); err != nil {
		return err
	}
	select {
	case l := <-answer:
		return decodeReply(op, l, into)
	case <-ctx.Done():
		return fmt.Errorf("%s in the guest: %w", op, ctx.Err())
	case <-c.done:
	}
	select { // the answer may have been the last thing it said
	case l := <-answer:
		return decodeReply(op, l, into)
	default:
		return c.Err()
	}
}

// send writes one line. Half a line cannot be taken back, so a guest that does not read on within ctx's time has
// lost its session.
func (c *Client) send(ctx context.Context, r request) error {
	b, err := encode(r, MaxHostLine)
	if err != nil {
		return err
	}
	select {
	case c.write <- struct{}{}:
		defer func() { <-c.write }()
	case <-ctx.Done():
		return fmt.Errorf("%s in the guest: %w", r.Op, ctx.Err())
	case <-c.done:
		return c.Err()
	}
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.control.SetWriteDeadline(time.Unix(1, 0))
		close(late)
	})
	n, err := c.control.Write(b)
	if !stop() {
		<-late
		_ = c.control.SetWriteDeadline(time.Time{}) // for the next line, should this one be out
	}
	if err == nil {
		return nil
	}
	if n == 0 && ctx.Err() != nil {
		return fmt.Errorf("%s in the guest: %w", r.Op, ctx.Err())
	}
	if errors.Is(err, yamux.ErrTimeout) || errors.Is(err, yamux.ErrConnectionWriteTimeout) {
		c.fail(fmt.Errorf("guest does not read: %w", err))
	} else {
		c.fail(fmt.Errorf("%w: %w", ErrClosed, err))
	}
	return errors.Join(ctx.Err(), c.Err())
}

func decodeReply(op string, l line, into any) error {
	if l.Error != nil {
		l.Error.Text = clip(l.Error.Text)
		return l.Error
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(l.Body, into); err != nil {
		return fmt.Errorf("%s in the guest: its answer: %w", op, err)
	}
	return nil
}
