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

// Guest is what an agent must be able to do. Its methods are called from many goroutines; an error that is an
// *Error keeps its code.
type Guest interface {
	// Hello says what the guest is; protocol and operations are filled in.
	Hello() Hello
	// Start makes the pod. What becomes of its apps goes to r, from then on.
	Start(ctx context.Context, spec *PodSpec, r *Reporter) error
	Signal(t Target, signal int) error
	// Kill ends the pod and returns when its processes are gone and their output has been written.
	Kill(ctx context.Context) error
	// Stream gets a stream that the host opened, and owns it.
	Stream(h Header, s *Stream)
}

// What a Guest may be able to do besides. An operation that it is not able to do is answered with CodeUnknown.
type (
	// Resizer has terminals.
	Resizer interface{ Resize(t Target, s Size) error }
	// Enterer runs commands in apps; it reports their ends to r with the number that it returns.
	Enterer interface {
		Enter(spec EnterSpec, r *Reporter) (process uint64, err error)
	}
	// Statser knows what apps use.
	Statser interface{ Stats() ([]AppStats, error) }
	// Updater changes limits of a running app, all that are not zero or none. CodeBusy says that the app has more
	// memory than a new limit can hold.
	Updater interface {
		Update(app string, r poddir.Resources) error
	}
	// Clock can be set.
	Clock interface{ SetTime(t time.Time) error }
	// Powerer can end the machine. It is called after the host has its answer.
	Powerer interface{ PowerOff(reboot bool) }
)

// Reporter carries a Guest's news to the host, in the order of the calls.
type Reporter struct{ s *server }

// Report sends an event. A host that is gone is noticed by Serve.
func (r *Reporter) Report(e Event) {
	e.Text, e.Reason = clip(e.Text), clip(e.Reason)
	r.s.send(e)
}

// maxCalls is how many requests run at the same time. The host is trusted, but may be buggy.
const maxCalls = 64

type server struct {
	guest    Guest
	reporter *Reporter

	write   sync.Mutex
	control *yamux.Stream
}

// Serve speaks first, serves the host's streams, and returns when the channel is gone.
func Serve(ctx context.Context, channel io.ReadWriteCloser, g Guest) error {
	if _, err := io.WriteString(channel, "\n"+greeting+"\n"); err != nil {
		return fmt.Errorf("greet host: %w", err)
	}
	session, err := yamux.Server(&joined{ReadWriteCloser: channel}, config(false))
	if err != nil {
		return err
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	s := &server{guest: g}
	s.reporter = &Reporter{s}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrClosed, err)
		}
		go s.serve(ctx, stream)
	}
}

func (s *server) serve(ctx context.Context, stream *yamux.Stream) {
	h, err := readHeader(stream)
	if err != nil {
		stream.Close()
		return
	}
	switch h.Kind {
	case StreamControl:
		s.serveControl(ctx, stream)
	case StreamApp, StreamEnter:
		s.guest.Stream(h, &Stream{s: stream, fd: h.FD})
	default:
		stream.Close() // of a later version
	}
}

// serveControl answers requests. Only the first control stream counts.
func (s *server) serveControl(ctx context.Context, stream *yamux.Stream) {
	defer stream.Close()
	s.write.Lock()
	if s.control != nil {
		s.write.Unlock()
		return
	}
	s.control = stream
	s.write.Unlock()
	slots := make(chan struct{}, maxCalls)
	r := buffered(stream)
	for {
		b, err := readLine(r, MaxHostLine)
		if err != nil {
			return
		}
		var q request
		if err := json.Unmarshal(b, &q); err != nil {
			s.send(reply{Error: Refuse(CodeBadRequest, "read request: %v", err)})
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			s.answer(ctx, q)
		}()
	}
}

func (s *server) answer(ctx context.Context, q request) {
	body, then, err := s.do(ctx, q)
	r := reply{ID: q.ID, Body: body}
	if err != nil {
		r.Body, r.Error = nil, refusal(err)
		r.Error.Text = clip(r.Error.Text)
	}
	s.send(r)
	if then != nil {
		then()
	}
}

// send writes one line. What does not fit is answered, too.
func (s *server) send(v any) {
	b, err := encode(v, MaxGuestLine)
	if r, ok := v.(reply); ok && errors.Is(err, errLong) {
		b, err = encode(reply{ID: r.ID, Error: Refuse(CodeFailed, "%v", err)}, MaxGuestLine)
	}
	if err != nil {
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	if s.control != nil {
		_, _ = s.control.Write(b)
	}
}
