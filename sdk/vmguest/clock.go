package vmguest

import (
	"time"

	"golang.org/x/sys/unix"
)

// slewMost is how far off the clock may be for the kernel to bring it there by making its seconds longer or shorter
// (a two-thousandth), so that no app of a running pod sees time go back.
const slewMost = 128 * time.Millisecond

// SetTime brings the clock to t.
func (g *guest) SetTime(t time.Time) error {
	g.mu.Lock()
	running := g.spec != nil
	g.mu.Unlock()
	off := time.Until(t)
	if running && off.Abs() <= slewMost {
		_, err := unix.Adjtimex(&unix.Timex{Modes: unix.ADJ_OFFSET_SINGLESHOT, Offset: off.Microseconds()})
		return err
	}
	ts := unix.NsecToTimespec(t.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}
