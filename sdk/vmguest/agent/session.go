package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// greeting is the guest's first line. maxNoise bounds what a boot may print before it.
const (
	greeting = "rkt-agent/1"
	maxNoise = 1 << 20
)

// patience is how long the host waits for a guest that neither reads nor accepts, before it gives it up.
const patience = 5 * time.Minute

// config is both ends'. Nothing in it makes an idle guest wake: a lost channel ends in an end of file.
func config(host bool) *yamux.Config {
	c := yamux.DefaultConfig()
	c.EnableKeepAlive = false
	c.StreamOpenTimeout = 0
	c.StreamCloseTimeout = 0 // a half-closed stream is an app without stdin
	c.LogOutput = io.Discard // what matters comes back as an error
	if host {
		c.ConnectionWriteTimeout = patience
	} else {
		c.ConnectionWriteTimeout = 10 * 365 * 24 * time.Hour // a host that is stopped (Ctrl-Z) comes back
	}
	return c
}

// awaitGreeting reads until the greeting has come on a line of its own.
func awaitGreeting(r io.Reader) error {
	// One byte at a time: the next one is yamux's. The channel delivers these few at once.
	seen, one := make([]byte, 0, 256), []byte{0}
	for range maxNoise {
		if _, err := io.ReadFull(r, one); err != nil {
			return fmt.Errorf("wait for the guest's agent: %w", err)
		}
		switch one[0] {
		case '\n':
			if string(seen) == greeting {
				return nil
			}
			seen = seen[:0]
		case '\r': // a terminal device before it was made raw
		default:
			if len(seen) < cap(seen) {
				seen = append(seen, one[0])
			}
		}
	}
	return errors.New("wait for the guest's agent: it printed a MiB of something else")
}

// buffered is a channel for yamux, which writes a header and a body by themselves; it reads through a buffer of
// its own already.
func buffered(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 16<<10) }
