// Command rkt-stage1-lkvm-supervisor is what `rkt run` becomes for a pod in a virtual machine, what puts lkvm into
// its cage, and what `rkt enter` becomes. It links neither gRPC nor protobuf: every running pod pays for its pages.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/lkvm"
	"github.com/rkt/rkt/v2/sdk/vmhost/supervisor"
)

func main() { os.Exit(supervisor.Main(lkvm.VMM{})) }
