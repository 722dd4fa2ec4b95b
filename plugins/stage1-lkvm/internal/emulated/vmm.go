package emulated

import (
	"strconv"

	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/lkvm"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// EnvControl is the variable in which the program finds the number of the descriptor that is the control channel.
const EnvControl = "RKT_LKVM_CONTROL"

// VMM is kvmtool's, run by the program of this package.
type VMM struct{ lkvm.VMM }

// Traits are kvmtool's but for what a host without KVM lacks.
func (v VMM) Traits() vmhost.Traits {
	t := v.VMM.Traits()
	t.Accels, t.Serial, t.Vsock = []string{vmhost.TCG}, true, false
	return t
}

// Command is kvmtool's. QEMU finds the files of a share by /proc/self/fd.
func (v VMM) Command(l *vmhost.Launch) vmhost.Command {
	c := v.VMM.Command(l)
	c.Binds = append(c.Binds, cage.Bind{Source: "/proc", Target: "/proc"})
	c.Env = append(c.Env, EnvControl+"="+strconv.Itoa(l.Control))
	return c
}
