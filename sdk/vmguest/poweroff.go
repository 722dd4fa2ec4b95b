package vmguest

import (
	"time"

	"golang.org/x/sys/unix"
)

// off ends the machine. Should the way that was asked for not end it, the other may.
func off(how int) {
	for {
		if err := unix.Reboot(how); err != nil {
			complain("power off: %v", err)
		}
		time.Sleep(time.Second)
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
}
