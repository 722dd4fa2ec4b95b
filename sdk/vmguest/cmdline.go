package vmguest

import (
	"strings"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// cmdline is what the kernel's command line says to this program.
type cmdline struct {
	channel string
	reboot  bool
}

// parseCmdline reads /proc/cmdline. A word that is not known belongs to somebody else.
func parseCmdline(s string) cmdline {
	c := cmdline{channel: "port:" + agent.PortName}
	for _, w := range strings.Fields(s) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "rkt.ctl":
			c.channel = value
		case "rkt.off":
			c.reboot = value == "reboot"
		}
	}
	return c
}
