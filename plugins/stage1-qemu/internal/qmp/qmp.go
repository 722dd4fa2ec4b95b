package qmp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a message. QEMU is confined because it may be taken over, so its word is not trusted either.
const maxLine = 256 << 10

// Event is something that happened.
type Event struct {
	Name string
	Data json.RawMessage
}

// message is a line of QEMU's: a greeting, an answer or an event.
type message struct {
	QMP    json.RawMessage `json:"QMP"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// Watch greets QEMU and passes events to f until the connection ends, with io.EOF when QEMU has.
func Watch(conn io.ReadWriter, f func(Event)) error {
	lines := bufio.NewScanner(conn)
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
			if _, err := io.WriteString(conn, `{"execute":"qmp_capabilities"}`+"\n"); err != nil {
				return err
			}
		case m.Error != nil:
			return fmt.Errorf("QEMU refuses: %s: %s", m.Error.Class, m.Error.Desc)
		case m.Event != "":
			f(Event{Name: m.Event, Data: m.Data})
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read QMP: %w", err)
	}
	return io.EOF
}
