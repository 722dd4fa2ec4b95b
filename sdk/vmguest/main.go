package vmguest

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/linuxpod/enter"
	"github.com/rkt/rkt/v2/sdk/linuxpod/pidone"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// initPath is the program's name when the kernel starts it.
const initPath = "/init"

// Main is the whole program: PID 1 of the guest, or one of the two programs that it starts for a pod. build says
// what it is, for the host's logs. It returns the status to exit with; PID 1 of the guest does not return.
func Main(build string) int {
	if os.Args[0] == initPath && unix.Getpid() == 1 {
		return boot(build)
	}
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "init":
		if err := pidone.Main(); err != nil {
			return 1 // the agent has been told
		}
		return 0
	case "enter", "enter-sealed":
		return enter.Main(os.Args[1:])
	}
	fmt.Fprintln(os.Stderr, "rkt-vmguest is started by the kernel of a VM, as "+initPath+", not by hand")
	return 2
}

// boot never returns: the machine is switched off when it is done.
func boot(build string) int {
	how := unix.LINUX_REBOOT_CMD_POWER_OFF
	defer func() { off(how) }()
	line, err := prepareKernel()
	if line.reboot {
		how = unix.LINUX_REBOOT_CMD_RESTART
	}
	if err != nil {
		complain("boot: %v", err)
		return 1
	}
	channel, err := openChannel(line.channel)
	if err != nil {
		complain("open channel to the host: %v", err)
		return 1
	}
	g := newGuest(build, how)
	go g.children.run()
	err = agent.Serve(context.Background(), channel, g)
	if !g.ending.Load() {
		complain("%v", err)
	}
	return 1
}

// complain writes to the kernel's console.
func complain(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "rkt-vmguest: "+format+"\n", args...)
}
