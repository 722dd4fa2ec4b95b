package supervisor

import (
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
	"github.com/rkt/rkt/v2/sdk/vmhost/enter"
)

// Main is the main function of a VM flavor's second program: what `rkt run` becomes, what puts the VMM into its cage,
// and what `rkt enter` becomes. It returns the exit status, unless another program has taken over.
func Main(vmm vmhost.VMM) int {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "supervise":
		return supervise.Run(New(vmm))
	case cage.Arg:
		fmt.Fprintf(os.Stderr, "rkt: %v\n", cage.Main())
		return supervise.ExitCannotStart
	case "enter":
		return enter.Main(os.Args[1:])
	}
	fmt.Fprintln(os.Stderr, "this program is started by rkt, not by hand")
	return 2
}
