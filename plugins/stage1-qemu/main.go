// Command rkt-stage1-qemu runs pods in virtual machines of QEMU.
package main

import (
	"github.com/rkt/rkt/v2/plugins/stage1-qemu/internal/qemu"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

// version is the plugin's own; plugin.json shows it.
var version = "2.0.0-dev"

const supervisor = "rkt-stage1-qemu-supervisor"

func main() {
	stage1.Main(stage1.Info{
		Name: "stage1-qemu", Version: version, Vendor: "rkt", Programs: []string{supervisor, service.GuestProgram},
		ConfigSchema: vmhost.ConfigSchema(),
	}, service.New("qemu", qemu.VMM{}, supervisor, qemu.Package()))
}
