package agent

import (
	"encoding/binary"
	"io"
)

// joined writes a yamux header and its body at once: each write to a virtio port is a trip to the VMM. yamux
// writes them one after the other from one goroutine, and a data frame with a length is always followed by its
// body.
type joined struct {
	io.ReadWriteCloser
	buf []byte // a header that waits for its body
}

// The header of yamux's protocol version 0.
const (
	frameHeader = 12 // version, type, flags (2), stream (4), length (4)
	frameData   = 0
)

// Write writes, or keeps a header for the next call.
func (j *joined) Write(b []byte) (int, error) {
	if len(j.buf) == 0 && len(b) == frameHeader && b[1] == frameData && binary.BigEndian.Uint32(b[8:]) > 0 {
		j.buf = append(j.buf, b...)
		return len(b), nil
	}
	if len(j.buf) == 0 {
		return j.ReadWriteCloser.Write(b)
	}
	kept := len(j.buf)
	j.buf = append(j.buf, b...)
	n, err := j.ReadWriteCloser.Write(j.buf)
	j.buf = j.buf[:0]
	return max(0, n-kept), err
}
