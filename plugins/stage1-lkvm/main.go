// Command rkt-stage1-lkvm runs pods in virtual machines of kvmtool (lkvm).
package main

import (
	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/lkvm"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

// version is the plugin's own; plugin.json shows it.
var version = "2.0.0-dev"

const supervisor = "rkt-stage1-lkvm-supervisor"

func main() {
	stage1.Main(stage1.Info{
		Name: "stage1-lkvm", Version: version, Vendor: "rkt", Programs: []string{supervisor, service.GuestProgram},
		ConfigSchema: vmhost.ConfigSchema(),
	}, service.New("lkvm", lkvm.VMM{}, supervisor, ""))
}
