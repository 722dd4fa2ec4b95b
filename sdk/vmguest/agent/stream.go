package agent

import (
	"errors"
	"io"

	"github.com/hashicorp/yamux"
)

// Stream is one of a program's three streams, seen from either end. Stdin is written by the host, stdout and
// stderr by the guest; the other direction carries nothing, and its end says that nobody reads any more.
type Stream struct {
	s  *yamux.Stream
	fd FD
}

// FD says which stream it is.
func (s *Stream) FD() FD { return s.fd }

// Read reads what the other end wrote; the end of it is io.EOF.
func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.s.Read(b)
	if errors.Is(err, yamux.ErrStreamClosed) || errors.Is(err, yamux.ErrConnectionReset) {
		err = io.EOF
	}
	return n, err
}

// Write writes to the other end, waiting while it does not read.
func (s *Stream) Write(b []byte) (int, error) { return s.s.Write(b) }

// Close ends this end's direction: of the writing end it is the end of the file, of the reading end it says
// that it reads no more.
func (s *Stream) Close() error { return s.s.Close() }

// Abandoned returns when the other end reads no more, or is gone. It is for the end that writes.
func (s *Stream) Abandoned() { _, _ = io.Copy(io.Discard, s) }
