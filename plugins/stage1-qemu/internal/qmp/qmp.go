package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxLine bounds a message. QEMU is confined because it may be taken over, so its word is not trusted either.
const maxLine = 256 << 10

// Event is something that happened.
type Event struct {
	Name string
	Data json.RawMessage
}

// Error is QEMU's refusal of a command.
type Error struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *Error) Error() string { return fmt.Sprintf("QEMU refuses: %s: %s", e.Class, e.Desc) }

// message is a line of QEMU's: a greeting, an answer or an event.
type message struct {
	QMP    json.RawMessage `json:"QMP"`
	ID     uint64          `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

// request is a line of ours.
type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        uint64 `json:"id"`
}

// greetID is the identifier of the first command.
const greetID = 1

// Conn is a connection to a QEMU.
type Conn struct {
	conn    io.ReadWriter
	greeted chan struct{} // closed when commands are taken
	done    chan struct{} // closed when the connection has ended

	mu      sync.Mutex // one writes at a time
	last    uint64
	pending map[uint64]chan message
}

// New makes a Conn, on which nothing happens before Serve.
func New(conn io.ReadWriter) *Conn {
	return &Conn{
		conn: conn, greeted: make(chan struct{}), done: make(chan struct{}), last: greetID, pending: map[uint64]chan message{},
	}
}

// Serve greets QEMU and passes events to f until the connection ends, with io.EOF when QEMU has. It is called once.
func (c *Conn) Serve(f func(Event)) error {
	defer close(c.done)
	lines := bufio.NewScanner(c.conn)
	lines.Buffer(make([]byte, 4<<10), maxLine)
	first := true
	for lines.Scan() {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("read QMP: %w", err)
		}
		switch {
		case first && m.QMP == nil:
			return errors.New("read QMP: no greeting")
		case first:
			first = false
			if err := c.send(request{Execute: "qmp_capabilities", ID: greetID}); err != nil {
				return err
			}
		case m.Event != "":
			f(Event{Name: m.Event, Data: m.Data})
		default:
			if err := c.answered(m); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read QMP: %w", err)
	}
	return io.EOF
}

// answered hands an answer to who waits for it. One that nobody waits for any more is dropped.
func (c *Conn) answered(m message) error {
	c.mu.Lock()
	ch := c.pending[m.ID]
	delete(c.pending, m.ID)
	c.mu.Unlock()
	switch {
	case ch != nil:
		ch <- m
	case m.ID == greetID && m.Error == nil:
		select {
		case <-c.greeted: // said twice
		default:
			close(c.greeted)
		}
	case m.Error != nil:
		return m.Error
	}
	return nil
}

func (c *Conn) send(r request) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err = c.conn.Write(append(b, '\n'))
	return err
}

// Execute runs a command and decodes what it returns into the value that into points to, if any.
func (c *Conn) Execute(ctx context.Context, command string, arguments, into any) error {
	select {
	case <-c.greeted:
	case <-c.done:
		return fmt.Errorf("%s: %w", command, io.ErrClosedPipe)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
	answer := make(chan message, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.pending[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()
	if err := c.send(request{Execute: command, Arguments: arguments, ID: id}); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %w", command, m.Error)
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(m.Return, into)
	case <-c.done:
		return fmt.Errorf("%s: %w", command, io.ErrClosedPipe)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", command, ctx.Err())
	}
}
