package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of a line, by who writes it.
const (
	MaxGuestLine = 64 << 10 // the guest is not trusted with more
	MaxHostLine  = 16 << 20 // a PodSpec: apps with large environments, hundreds of layers
	maxHeader    = 4 << 10  // the first line of a stream
	maxText      = 4 << 10  // in an event or an error
)

// errLong is a line beyond its bound.
var errLong = errors.New("line is too long")

// readLine reads up to and without the newline, at most limit bytes. The reader's buffer may be smaller.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var out []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(out)+len(part) > limit+1 {
			return nil, errLong
		}
		out = append(out, part...)
		switch {
		case err == nil:
			return out[:len(out)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(out) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// readHeader reads the first line of a stream byte by byte: what follows it belongs to somebody else.
func readHeader(r io.Reader) (Header, error) {
	var h Header
	buf := make([]byte, 0, 128)
	for one := []byte{0}; ; {
		if _, err := io.ReadFull(r, one); err != nil {
			return h, err
		}
		if one[0] == '\n' {
			break
		}
		if len(buf) == maxHeader {
			return h, errLong
		}
		buf = append(buf, one[0])
	}
	if err := json.Unmarshal(buf, &h); err != nil {
		return h, fmt.Errorf("read header of stream: %w", err)
	}
	return h, nil
}

// encode makes a line.
func encode(v any, limit int) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(b) > limit {
		return nil, fmt.Errorf("message of %d bytes: %w (at most %d)", len(b), errLong, limit)
	}
	return append(b, '\n'), nil
}

// clip bounds a text for people.
func clip(s string) string { return s[:min(len(s), maxText)] }
