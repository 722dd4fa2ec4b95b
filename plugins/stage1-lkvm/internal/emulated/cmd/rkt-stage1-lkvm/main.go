// Command rkt-stage1-lkvm is the plugin with package emulated in kvmtool's place.
package main

import (
	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/emulated"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/service"
)

const supervisor = "rkt-stage1-lkvm-supervisor"

func main() {
	stage1.Main(stage1.Info{
		Name: "stage1-lkvm", Version: "0.0.0-emulated", Vendor: "rkt", Programs: []string{supervisor, service.GuestProgram},
		ConfigSchema: vmhost.ConfigSchema(),
	}, service.New("lkvm", emulated.VMM{}, supervisor, ""))
}
