// Command rkt-stage1-lkvm-supervisor is the supervisor with package emulated in kvmtool's place.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/emulated"
	"github.com/rkt/rkt/v2/sdk/vmhost/supervisor"
)

func main() { os.Exit(supervisor.Main(emulated.VMM{})) }
