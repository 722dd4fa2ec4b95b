// Command rkt-vmguest is /init of the guest of a VM flavor: the agent there, PID 1 of the pod, and what enter
// runs. It is one static program in the flavor's plugin directory, and goes into the initramfs.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/sdk/vmguest"
)

// version is the plugin directories' own.
const version = "2.0.0"

func main() { os.Exit(vmguest.Main(version)) }
