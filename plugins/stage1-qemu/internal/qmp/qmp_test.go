package qmp

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": ["oob"]}}` + "\r\n"

type conn struct {
	io.Reader
	sent bytes.Buffer
}

func (c *conn) Write(b []byte) (int, error) { return c.sent.Write(b) }

func TestWatch(t *testing.T) {
	for _, c := range []struct{ in, events, err string }{
		{greeting + `{"return": {}}` + "\n" + `{"event":"RESUME"}` + "\n" + `{"event":"GUEST_PANICKED","data":{"action":"poweroff"}}` + "\n", "RESUME GUEST_PANICKED", ""},
		{`{"return": {}}` + "\n", "", "no greeting"},
		{greeting + `{"error":{"class":"GenericError","desc":"no"}}` + "\n", "", "GenericError: no"},
		{greeting + "nonsense\n", "", "read QMP"},
		{greeting + strings.Repeat("x", 2*maxLine), "", "too long"},
		{"", "", ""},
	} {
		var events []string
		k := &conn{Reader: strings.NewReader(c.in)}
		err := Watch(k, func(e Event) { events = append(events, e.Name) })
		if strings.Join(events, " ") != c.events || errors.Is(err, io.EOF) != (c.err == "") || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%.80q: %q, %v, want %q, %q", c.in, events, err, c.events, c.err)
		}
		if strings.HasPrefix(c.in, greeting) && k.sent.String() != `{"execute":"qmp_capabilities"}`+"\n" {
			t.Errorf("sent %q", k.sent.String())
		}
	}
}

// Whatever a QEMU that was taken over says, it ends with its words.
func FuzzWatch(f *testing.F) {
	f.Add([]byte(greeting + `{"event":"X"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if Watch(&conn{Reader: bytes.NewReader(b)}, func(Event) {}) == nil {
			t.Error("no end")
		}
	})
}
