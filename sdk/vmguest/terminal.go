package vmguest

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/tty"
)

// openTerminalPair makes a terminal in the guest's own devpts, which no app sees.
func openTerminalPair() (master, slave int, err error) {
	pts, err := unix.Open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("open /dev/pts: %w", err)
	}
	defer unix.Close(pts)
	master, slave, _, err = tty.Open(pts)
	return master, slave, err
}
