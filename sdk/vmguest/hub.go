package vmguest

import (
	"sync"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// key names a stream of a program.
type key struct {
	agent.Target
	fd agent.FD
}

// hub is where a stream that the host opened meets the program that it is for, whichever comes first.
type hub struct {
	mu    sync.Mutex
	slots map[key]chan *agent.Stream
}

// slot is where the stream comes out.
func (h *hub) slot(k key) chan *agent.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.slots == nil {
		h.slots = map[key]chan *agent.Stream{}
	}
	c := h.slots[k]
	if c == nil {
		c = make(chan *agent.Stream, 1)
		h.slots[k] = c
	}
	return c
}

// offer leaves a stream. A second one, while the first has not been taken, is refused.
func (h *hub) offer(k key, s *agent.Stream) {
	select {
	case h.slot(k) <- s:
	default:
		s.Close()
	}
}

// forget refuses what has been offered for a program that has ended, and remembers it no more.
func (h *hub) forget(t agent.Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fd := range []agent.FD{agent.Stdin, agent.Stdout, agent.Stderr} {
		k := key{t, fd}
		if c := h.slots[k]; c != nil {
			select {
			case s := <-c:
				s.Close()
			default:
			}
			delete(h.slots, k)
		}
	}
}
