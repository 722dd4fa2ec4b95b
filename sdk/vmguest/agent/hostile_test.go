package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// evil is a guest that speaks the protocol's lowest layer and then does what it wants.
func evil(t *testing.T, act func(s *yamux.Session, control *yamux.Stream, r *bufio.Reader)) (*Client, error) {
	t.Helper()
	h, g := channel(t)
	go func() {
		io.WriteString(g, "\n"+greeting+"\n")
		s, err := yamux.Server(g, config(false))
		if err != nil {
			return
		}
		control, err := s.AcceptStream()
		if err != nil {
			return
		}
		r := bufio.NewReader(control)
		r.ReadString('\n') // the header
		r.ReadString('\n') // hello
		act(s, control, r)
	}()
	c, err := Dial(t.Context(), h)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

const hello = `{"id":1,"body":{"protocol":1}}` + "\n"

// Each of these ends the session with a reason, takes a bounded amount of memory, and hangs nobody.
func TestHostileGuest(t *testing.T) {
	type act = func(s *yamux.Session, control *yamux.Stream)
	for name, tc := range map[string]struct {
		act  act
		want string
	}{
		"endless line": {func(_ *yamux.Session, c *yamux.Stream) {
			junk := bytes.Repeat([]byte("x"), 4096)
			for {
				if _, err := c.Write(junk); err != nil {
					return
				}
			}
		}, "more than 65536 bytes"},
		"no JSON":     {func(_ *yamux.Session, c *yamux.Stream) { io.WriteString(c, "{\"id\":\n") }, "not the protocol's"},
		"wrong types": {func(_ *yamux.Session, c *yamux.Stream) { io.WriteString(c, `{"event":7}`+"\n") }, "not the protocol's"},
		"an app of its own": {func(_ *yamux.Session, c *yamux.Stream) {
			io.WriteString(c, `{"event":"exited","app":"../../etc/passwd"}`+"\n")
		}, "which the pod does not have"},
		"an exit code beyond": {func(_ *yamux.Session, c *yamux.Stream) {
			io.WriteString(c, `{"event":"exited","app":"a","code":-7}`+"\n")
		}, "exit code -7"},
		"a stream of its own": {func(s *yamux.Session, _ *yamux.Stream) { st, err := s.OpenStream(); _, _ = st, err }, "opened a stream"},
		"a ping":              {func(s *yamux.Session, _ *yamux.Stream) { s.Ping() }, "sent a ping"},
		"a flood of events": {func(_ *yamux.Session, c *yamux.Stream) {
			for {
				if _, err := io.WriteString(c, `{"event":"warning","text":"boo"}`+"\n"); err != nil {
					return
				}
			}
		}, "events that were not read"},
		"hang up": {func(s *yamux.Session, _ *yamux.Stream) { s.Close() }, "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := evil(t, func(s *yamux.Session, control *yamux.Stream, _ *bufio.Reader) {
				io.WriteString(control, hello)
				tc.act(s, control)
			})
			if err != nil { // the reason came before the answer to hello had been looked at
				if !strings.Contains(err.Error(), tc.want) {
					t.Error(err)
				}
				return
			}
			<-c.Done()
			if err := c.Err(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("session ended with %v, want %q", err, tc.want)
			}
			if _, err := c.OpenStream("a", Stdout); err == nil {
				t.Error("a stream can be opened")
			}
			if err := c.Kill(t.Context()); err == nil {
				t.Error("a call succeeds")
			}
		})
	}
}

func TestHostileReplies(t *testing.T) {
	c, err := evil(t, func(_ *yamux.Session, control *yamux.Stream, r *bufio.Reader) {
		// Answers nobody asked for, before and after, twice.
		io.WriteString(control, `{"id":99}`+"\n"+hello+hello)
		for {
			b, err := r.ReadString('\n')
			if err != nil {
				return
			}
			var q request
			_ = json.Unmarshal([]byte(b), &q)
			switch q.Op {
			case OpEnter: // always the same process
				fmt.Fprintf(control, `{"id":%d,"body":{"process":5}}`+"\n", q.ID)
			case OpStats:
				fmt.Fprintf(control, `{"id":%d,"body":["no object"]}`+"\n", q.ID)
			default:
				fmt.Fprintf(control, `{"id":%d,"error":{"code":"failed","text":%q}}`+"\n", q.ID, strings.Repeat("e", 60000))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enter(t.Context(), EnterSpec{App: "a"}); err != nil { // its streams are never accepted
		t.Error(err)
	}
	if _, err := c.Enter(t.Context(), EnterSpec{App: "a"}); err == nil {
		t.Error("the same process twice")
	}
	if _, err := c.Stats(t.Context()); err == nil {
		t.Error("stats of another shape")
	}
	if err := c.Kill(t.Context()); err == nil || len(err.Error()) > maxText {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestOtherProtocol(t *testing.T) {
	_, err := evil(t, func(_ *yamux.Session, control *yamux.Stream, _ *bufio.Reader) {
		io.WriteString(control, `{"id":1,"body":{"protocol":2}}`+"\n")
		io.Copy(io.Discard, control)
	})
	if err == nil || !strings.Contains(err.Error(), "protocol 2") {
		t.Errorf("%v", err)
	}
}

// A guest that does not answer costs the host the time that the host gave, and no more.
func TestSilentGuest(t *testing.T) {
	c, err := evil(t, func(_ *yamux.Session, control *yamux.Stream, _ *bufio.Reader) {
		io.WriteString(control, hello)
		select {} // reads nothing
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Kill(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	// Beyond what fits into the stream's window.
	spec := podSpec()
	spec.Pod.Annotations = map[string]string{"a": strings.Repeat("x", 1<<20)}
	for wait := 50 * time.Millisecond; c.Err() == nil && wait < time.Minute; wait *= 2 { // one in which nothing was sent is no harm
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		if err := c.Start(ctx, spec); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		cancel()
	}
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("half a line was sent, and the session goes on: %v", err)
	}
}

func FuzzGuestLine(f *testing.F) {
	f.Add([]byte(`{"id":1,"body":{}}`))
	f.Add([]byte(`{"event":"exited","app":"a","code":3,"signal":9,"oom":true}`))
	f.Add([]byte(`{"event":"exited","process":1}`))
	f.Add([]byte(`{"id":18446744073709551615,"error":{"code":"x","text":"y"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{
			events: &queue{wake: make(chan struct{}, 1)}, pending: map[uint64]chan line{1: make(chan line, 1)},
			apps: map[string]bool{"a": true}, exits: map[uint64]chan Event{},
		}
		var l line
		if json.Unmarshal(b, &l) != nil {
			return
		}
		if l.Event.Kind == "" {
			c.answered(l)
		} else if c.happened(l.Event) == nil {
			for _, e := range c.events.items {
				if e.App != "" && e.App != "a" && (e.Kind == EventStarted || e.Kind == EventExited) || len(e.Text) > maxText || e.Code > 255 {
					t.Errorf("%+v came through", e)
				}
			}
		}
	})
}

// However the bytes are cut, the same frames are seen.
func FuzzGuard(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 'a', 'b', 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(5))
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		whole, parts := new(guard), new(guard)
		want := whole.look(b)
		var got error
		for rest := b; len(rest) > 0 && got == nil; {
			n := min(len(rest), int(cut)+1)
			got = parts.look(rest[:n])
			rest = rest[n:]
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v in parts, %v at once", got, want)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a\nb\n"), 1)
	f.Add([]byte(strings.Repeat("x", 100)), 50)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = max(0, limit%1000)
		r := bufio.NewReaderSize(bytes.NewReader(b), 16)
		for {
			l, err := readLine(r, limit)
			if err != nil {
				return
			}
			if len(l) > limit || bytes.ContainsRune(l, '\n') {
				t.Fatalf("%q with limit %d", l, limit)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(`{"kind":"app","app":"a","fd":"stdout"}` + "\nrest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if _, err := readHeader(r); err == nil {
			if used := len(b) - r.Len(); used == 0 || b[used-1] != '\n' {
				t.Fatalf("read %d of %q", used, b)
			}
		}
	})
}
