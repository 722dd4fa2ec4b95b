// Command rkt-stage1-qemu-supervisor is what `rkt run` becomes for a pod in a virtual machine, what puts QEMU into
// its cage, and what `rkt enter` becomes. It links neither gRPC nor protobuf: every running pod pays for its pages.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/plugins/stage1-qemu/internal/qemu"
	"github.com/rkt/rkt/v2/sdk/vmhost/supervisor"
)

func main() { os.Exit(supervisor.Main(qemu.VMM{})) }
