package lkvm

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// Command is kvmtool's command line.
func (VMM) Command(m *vmhost.Launch) vmhost.Command {
	args := []string{
		m.Program, "run", "--name", "rkt-" + m.UUID,
		"--kernel", vmhost.KernelPath, "--initrd", vmhost.InitramfsPath,
		"--mem", strconv.Itoa(m.MemoryMiB), "--cpus", strconv.Itoa(m.CPUs),
		"--console", "serial", "--rng", "--vsock", strconv.FormatUint(uint64(m.CID), 10),
		"--params", fmt.Sprintf("console=ttyS0 reboot=k rkt.ctl=vsock:%d rkt.off=reboot %s", m.Port, m.Append),
	}
	for i, d := range m.Machine.Disks {
		arg := vmhost.DisksPath + strconv.Itoa(i)
		if d.ReadOnly {
			arg += ",ro"
		}
		args = append(args, "--disk", arg)
	}
	c := vmhost.Command{
		// It makes a directory for the socket of `lkvm stop`, which nobody uses, and does not start without.
		Env: []string{"PATH=/usr/bin:/bin", "HOME=/tmp"},
		Nodes: []cage.Node{
			{Path: "/dev/kvm", Major: 10, Minor: 232}, {Path: "/dev/vhost-vsock", Major: 10, Minor: 241},
		},
	}
	for i, s := range m.Machine.Shares {
		if s.Kind == agent.NineP {
			args = append(args, "--9p", vmhost.SharesPath+strconv.Itoa(i)+","+s.Tag)
			c.Caps = fileCaps()
		}
	}
	// Without any word on networks it would make one of its own.
	if len(m.Taps) == 0 {
		args = append(args, "--network", "mode=none")
	}
	for _, t := range m.Taps {
		// A path for tapif is how it is told to take the descriptor as it is; the path itself is not opened then.
		args = append(args, "--network", fmt.Sprintf("mode=tap,tapif=/dev/net/tun,fd=%d,guest_mac=%s", t.FD, t.MAC))
	}
	c.Args = args
	return c
}

// fileCaps is what serving files as their owners takes.
func fileCaps() uint64 {
	return 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_FOWNER |
		1<<unix.CAP_FSETID | 1<<unix.CAP_MKNOD
}
