package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// guard looks at the guest's frames before yamux does. yamux trusts its peer with two things that the protocol
// has no use for: pings, each answered by a goroutine that waits while the guest does not read, and streams of the
// peer's own.
type guard struct {
	io.ReadWriteCloser
	broken atomic.Pointer[error] // the rule that was broken

	header [frameHeader]byte
	have   int    // bytes of the header
	body   uint32 // bytes of the frame's body that are still to come
}

// Flags and types of yamux's frames.
const (
	frameWindow = 1
	framePing   = 2
	flagSYN     = 1
)

// Read passes on what breaks no rule. It is called by one goroutine, yamux's.
func (g *guard) Read(b []byte) (int, error) {
	n, err := g.ReadWriteCloser.Read(b)
	if bad := g.look(b[:n]); bad != nil {
		g.broken.CompareAndSwap(nil, &bad)
		return 0, bad
	}
	return n, err
}

func (g *guard) look(b []byte) error {
	for len(b) > 0 {
		if g.body > 0 {
			n := min(uint32(len(b)), g.body)
			g.body -= n
			b = b[n:]
			continue
		}
		n := copy(g.header[g.have:], b)
		g.have += n
		b = b[n:]
		if g.have < frameHeader {
			return nil
		}
		g.have = 0
		if err := g.frame(); err != nil {
			return err
		}
	}
	return nil
}

// frame judges a whole header.
func (g *guard) frame() error {
	flags := binary.BigEndian.Uint16(g.header[2:])
	switch kind := g.header[1]; {
	case g.header[0] != 0:
		return fmt.Errorf("guest sent a frame of version %d", g.header[0])
	case kind == framePing:
		return errors.New("guest sent a ping")
	case flags&flagSYN != 0 && (kind == frameData || kind == frameWindow):
		return errors.New("guest opened a stream")
	case kind == frameData:
		g.body = binary.BigEndian.Uint32(g.header[8:])
	}
	return nil
}

// reason is the rule that was broken, or else err.
func (g *guard) reason(err error) error {
	if bad := g.broken.Load(); bad != nil {
		return *bad
	}
	return err
}
