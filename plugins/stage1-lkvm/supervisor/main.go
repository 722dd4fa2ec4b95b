// Command rkt-stage1-lkvm-supervisor is what `rkt run` becomes for a pod in a virtual machine, what puts lkvm into
// its cage, and what `rkt enter` becomes. It links neither gRPC nor protobuf: every running pod pays for its pages.
package main

import (
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/lkvm"
	"github.com/rkt/rkt/v2/sdk/supervise"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
	"github.com/rkt/rkt/v2/sdk/vmhost/enter"
	"github.com/rkt/rkt/v2/sdk/vmhost/supervisor"
)

func main() {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "supervise":
		os.Exit(supervise.Run(supervisor.New(lkvm.VMM{})))
	case cage.Arg:
		fmt.Fprintf(os.Stderr, "rkt: %v\n", cage.Main())
		os.Exit(supervise.ExitCannotStart)
	case "enter":
		os.Exit(enter.Main(os.Args[1:]))
	default:
		fmt.Fprintln(os.Stderr, "rkt-stage1-lkvm-supervisor is started by rkt, not by hand")
		os.Exit(2)
	}
}
