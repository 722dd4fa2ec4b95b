// Command rkt-stage1-linux-supervisor is what `rkt run` becomes, what runs as PID 1 of a pod, and what
// `rkt enter` becomes. It links neither gRPC nor protobuf: every running pod pays for its pages.
package main

import (
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/sdk/linuxpod/enter"
	"github.com/rkt/rkt/v2/sdk/linuxpod/host"
	"github.com/rkt/rkt/v2/sdk/linuxpod/pidone"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

func main() {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "supervise":
		os.Unsetenv("GOMAXPROCS") // meant for this process alone: `rkt finish`, which it becomes, has more to do at once
		os.Exit(supervise.Run(&host.Flavor{}))
	case "init":
		if err := pidone.Main(); err != nil {
			os.Exit(1) // the supervisor has been told
		}
	case "enter", "enter-sealed":
		os.Exit(enter.Main(os.Args[1:]))
	default:
		fmt.Fprintln(os.Stderr, "rkt-stage1-linux-supervisor is started by rkt, not by hand")
		os.Exit(2)
	}
}
