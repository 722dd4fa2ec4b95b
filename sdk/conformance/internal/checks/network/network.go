package network

import (
	"context"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// settle is how long the kernel may take to remove a namespace's links.
const settle = 20 * time.Second

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(capability, id, title string, run func(context.Context, *suite.Env) error) suite.Check {
		return suite.Check{ID: id, Title: title, Level: suite.Lifecycle, Service: manifest.ServiceNetwork, Capability: capability, Run: run}
	}
	port := check("", "NE-PORT-01", "a published port of the host reaches the pod", portReaches)
	port.Level = suite.Isolation
	return []suite.Check{
		check("", "NE-SETUP-01", "Setup gives the pod the links and addresses that it names", setsUp),
		check("", "NE-SETUP-02", "Setup again names the same addresses", setsUpAgain),
		check("", "NE-SETUP-03", "killed at any moment, Setup again connects the pod", setupKilled),
		check("", "NE-SETUP-04", "an unknown network is NETWORK_NOT_FOUND and leaves nothing", setupUnknown),
		check("", "NE-SETUP-05", "two pods have addresses of their own", setupTwo),
		check("", "NE-SETUP-06", "a port that is published already is PORT_IN_USE and leaves nothing", setupPort),
		check("check", "NE-CHECK-01", "Check of a connected pod succeeds, twice", checks),
		check("check", "NE-CHECK-02", "Check of a pod that lost its link is NETWORK_DAMAGED", checksDamaged),
		check("", "NE-DOWN-01", "Teardown leaves nothing on the host, and succeeds again", tearsDown),
		check("", "NE-DOWN-02", "Teardown succeeds when the pod's namespace is gone", downWithoutNamespace),
		check("", "NE-DOWN-03", "Teardown succeeds when the state directory is gone", downWithoutState),
		check("", "NE-DOWN-04", "killed at any moment, Teardown again leaves nothing", downKilled),
		check("", "NE-DOWN-05", "Teardown of a pod that was never set up succeeds", downNothing),
		check("", "NE-DOWN-06", "Teardown leaves other pods connected", downOther),
		check("sweep", "NE-SWEEP-01", "Sweep drops the dead and nothing of the living", sweeps),
		check("sweep", "NE-SWEEP-02", "Sweep with nothing dead drops nothing", sweepsNothing),
		port,
	}
}
