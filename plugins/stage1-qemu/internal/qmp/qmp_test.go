package qmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}` + "\r\n"

type conn struct {
	io.Reader
	sent bytes.Buffer
}

func (c *conn) Write(b []byte) (int, error) { return c.sent.Write(b) }

func TestServe(t *testing.T) {
	for _, c := range []struct{ in, events, err string }{
		{greeting + `{"return": {}, "id": 1}` + "\n" + `{"event":"RESUME"}` + "\n" + `{"event":"GUEST_PANICKED","data":{"action":"poweroff"}}` + "\n", "RESUME GUEST_PANICKED", ""},
		{greeting + `{"return": {}, "id": 1}` + "\n" + `{"return": {}, "id": 1}` + "\n" + `{"return": {}, "id": 77}` + "\n", "", ""},
		{`{"return": {}}` + "\n", "", "no greeting"},
		{greeting + `{"error":{"class":"GenericError","desc":"no"}}` + "\n", "", "GenericError: no"},
		{greeting + "nonsense\n", "", "read QMP"},
		{greeting + strings.Repeat("x", 2*maxLine), "", "too long"},
		{"", "", ""},
	} {
		var events []string
		k := &conn{Reader: strings.NewReader(c.in)}
		err := New(k).Serve(func(e Event) { events = append(events, e.Name) })
		if strings.Join(events, " ") != c.events || errors.Is(err, io.EOF) != (c.err == "") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%.80q: %q, %v, want %q, %q", c.in, events, err, c.events, c.err)
		}
		if strings.HasPrefix(c.in, greeting) && k.sent.String() != `{"execute":"qmp_capabilities","id":1}`+"\n" {
			t.Errorf("sent %q", k.sent.String())
		}
	}
}

func TestExecute(t *testing.T) {
	ours, theirs := net.Pipe()
	c := New(ours)
	go func() { // a QEMU that answers in another order, and two of them not at all
		defer theirs.Close()
		fmt.Fprint(theirs, greeting)
		for in := bufio.NewScanner(theirs); in.Scan(); {
			var r struct {
				Execute string
				ID      uint64
			}
			if json.Unmarshal(in.Bytes(), &r) != nil {
				return
			}
			switch r.Execute {
			case "qom-get":
				fmt.Fprintf(theirs, "{\"event\":\"X\"}\n{\"return\": 5, \"id\": 4711}\n{\"return\": 42, \"id\": %d}\n", r.ID)
			case "bad":
				fmt.Fprintf(theirs, `{"error":{"class":"GenericError","desc":"bad it is"}, "id": %d}`+"\n", r.ID)
			case "deaf":
			case "die":
				return
			default:
				fmt.Fprintf(theirs, `{"return": {}, "id": %d}`+"\n", r.ID)
			}
		}
	}()
	served := make(chan error, 1)
	go func() { served <- c.Serve(func(Event) {}) }()
	n := 0
	if err := c.Execute(t.Context(), "qom-get", map[string]string{"path": "/x"}, &n); err != nil || n != 42 {
		t.Errorf("%d, %v", n, err)
	}
	var refused *Error
	if err := c.Execute(t.Context(), "bad", nil, nil); !errors.As(err, &refused) || refused.Desc != "bad it is" {
		t.Errorf("%v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Execute(short, "deaf", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := c.Execute(t.Context(), "die", nil, nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
	}
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

// Whatever a QEMU that was taken over says, it ends with its words.
func FuzzServe(f *testing.F) {
	f.Add([]byte(greeting + `{"event":"X"}` + "\n"))
	f.Add([]byte(greeting + `{"return":{},"id":1}` + "\n" + `{"return":{},"id":1}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if New(&conn{Reader: bytes.NewReader(b)}).Serve(func(Event) {}) == nil {
			t.Error("no end")
		}
	})
}
