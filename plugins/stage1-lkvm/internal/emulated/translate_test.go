package emulated

import (
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// TestTranslate: what the flavor asks kvmtool for is what QEMU is asked for.
func TestTranslate(t *testing.T) {
	m := &vmhost.Machine{
		UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Size: vmhost.Size{MemoryMiB: 256, CPUs: 2}, Program: "/opt/lkvm", Append: "quiet",
		Disks:  []vmhost.Disk{{ReadOnly: true}, {Scratch: true}},
		Shares: []vmhost.Share{{Kind: agent.NineP, Tag: "share0"}},
	}
	c := VMM{}.Command(&vmhost.Launch{Machine: m, Control: 5, Taps: []vmhost.Tap{{FD: 7, MAC: "02:00:00:00:00:01"}}})
	args, err := Translate(c.Args[1:], "5")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Join(args, " ")
	for _, want := range []string{
		"-smp 2 -m 256M -kernel /guest/kernel -initrd /guest/initramfs -append console=ttyS0 reboot=k rkt.ctl=port:" + agent.PortName + " rkt.off=reboot quiet",
		"socket,id=control,fd=5", "file.filename=/guest/disk0,readonly=on", "file.filename=/guest/disk1 -device",
		"path=/guest/share0,", "mount_tag=share0", "tap,id=net0,fd=7,vhost=off", "mac=02:00:00:00:00:01",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in\n%s", want, line)
		}
	}
}

func TestTranslateRefuses(t *testing.T) {
	good := "run --name n --kernel k --initrd i --mem 256 --cpus 1 --params quiet"
	if _, err := Translate(strings.Fields(good), "3"); err != nil {
		t.Fatal(err)
	}
	for _, more := range []string{"--sdl", "--balloon yes", "--mem 1", "disk", "--9p /dir", "--network mode=user", "--disk"} {
		if _, err := Translate(strings.Fields(good+" "+more), "3"); err == nil {
			t.Errorf("%q is taken", more)
		}
	}
	if _, err := Translate([]string{"stop"}, "3"); err == nil {
		t.Error("another verb is taken")
	}
}
