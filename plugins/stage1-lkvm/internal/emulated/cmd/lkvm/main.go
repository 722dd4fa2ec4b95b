// Command lkvm takes kvmtool's command line and becomes QEMU, emulating: see package emulated.
package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/rkt/rkt/v2/plugins/stage1-lkvm/internal/emulated"
)

const qemu = "/usr/bin/qemu-system-x86_64"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println("kvm tool 0.0-emulated")
		return
	}
	args, err := emulated.Translate(os.Args[1:], os.Getenv(emulated.EnvControl))
	if err == nil {
		err = syscall.Exec(qemu, append([]string{qemu}, args...), []string{"PATH=/usr/bin:/bin", "TMPDIR=/tmp"})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
