// Command rkt-stage1-linux runs pods in Linux namespaces, cgroups and seccomp filters.
package main

import (
	"github.com/rkt/rkt/v2/plugins/stage1-linux/internal/linux"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// version is set by the linker, as rkt's own; plugin.json shows it.
var version = "2.0.0-dev"

func main() {
	stage1.Main(stage1.Info{
		Name: "stage1-linux", Version: version, Vendor: "rkt", Programs: []string{linux.Supervisor},
	}, &linux.Stage1{})
}
