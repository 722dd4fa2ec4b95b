package emulated

import (
	"fmt"
	"strings"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// options of kvmtool that a pod's machine has; each has one value.
type options struct {
	one  map[string]string
	many map[string][]string
}

// repeated are those that stand for a device each.
var repeated = []string{"disk", "9p", "network"}

// parse reads `lkvm run`'s arguments as strictly as the tests can wish: what it does not know, kvmtool may not either.
func parse(args []string) (*options, error) {
	if len(args) == 0 || args[0] != "run" {
		return nil, fmt.Errorf("lkvm: want run, got %q", args)
	}
	o := &options{one: map[string]string{}, many: map[string][]string{}}
	for _, name := range repeated {
		o.many[name] = nil
	}
	for args = args[1:]; len(args) > 0; {
		name, ok := strings.CutPrefix(args[0], "--")
		if !ok {
			return nil, fmt.Errorf("lkvm: %q is no option", args[0])
		}
		if name == "rng" {
			o.one[name], args = "yes", args[1:]
			continue
		}
		if len(args) < 2 {
			return nil, fmt.Errorf("lkvm: --%s lacks its value", name)
		}
		value := args[1]
		args = args[2:]
		if _, ok := o.many[name]; ok {
			o.many[name] = append(o.many[name], value)
			continue
		}
		switch name {
		case "name", "kernel", "initrd", "mem", "cpus", "console", "vsock", "params":
		default:
			return nil, fmt.Errorf("lkvm: --%s is no option", name)
		}
		if _, ok := o.one[name]; ok {
			return nil, fmt.Errorf("lkvm: --%s is given twice", name)
		}
		o.one[name] = value
	}
	for _, name := range []string{"name", "kernel", "initrd", "mem", "cpus", "params"} {
		if o.one[name] == "" {
			return nil, fmt.Errorf("lkvm: --%s is missing", name)
		}
	}
	return o, nil
}

// Translate makes QEMU's arguments of kvmtool's, those after the program's name. control is the descriptor of the
// control channel.
func Translate(args []string, control string) ([]string, error) {
	o, err := parse(args)
	if err != nil {
		return nil, err
	}
	params := strings.Fields(o.one["params"])
	for i, p := range params {
		if strings.HasPrefix(p, "rkt.ctl=") {
			params[i] = "rkt.ctl=port:" + agent.PortName
		}
	}
	out := []string{
		"-name", o.one["name"], "-machine", "q35,accel=tcg,usb=off,graphics=off", "-cpu", "max", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-smp", o.one["cpus"], "-m", o.one["mem"] + "M",
		// The kernel's test of its timer is lost on a host that is busy.
		"-kernel", o.one["kernel"], "-initrd", o.one["initrd"], "-append", strings.Join(append(params, "no_timer_check"), " "),
		"-serial", "stdio", "-device", "virtio-rng-pci",
		"-chardev", "socket,id=control,fd=" + control, "-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=control,name=" + agent.PortName,
	}
	for i, d := range o.many["disk"] {
		path, ro := strings.CutSuffix(d, ",ro")
		drive := fmt.Sprintf("if=none,id=disk%d,format=raw,file.locking=off,file.filename=%s", i, path)
		if ro {
			drive += ",readonly=on"
		}
		out = append(out, "-drive", drive, "-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d", i))
	}
	for i, s := range o.many["9p"] {
		dir, tag, ok := strings.Cut(s, ",")
		if !ok {
			return nil, fmt.Errorf("lkvm: --9p %s lacks its tag", s)
		}
		out = append(out, "-fsdev", fmt.Sprintf("local,id=share%d,path=%s,security_model=none,multidevs=remap", i, dir),
			"-device", fmt.Sprintf("virtio-9p-pci,fsdev=share%d,mount_tag=%s", i, tag))
	}
	for i, n := range o.many["network"] {
		device, err := nic(i, n)
		if err != nil {
			return nil, err
		}
		out = append(out, device...)
	}
	return out, nil
}

func nic(i int, value string) ([]string, error) {
	if value == "mode=none" {
		return nil, nil
	}
	part := map[string]string{}
	for p := range strings.SplitSeq(value, ",") {
		k, v, _ := strings.Cut(p, "=")
		part[k] = v
	}
	if part["mode"] != "tap" || part["tapif"] == "" || part["fd"] == "" || part["guest_mac"] == "" || len(part) != 4 {
		return nil, fmt.Errorf("lkvm: --network %s is none that a pod has", value)
	}
	return []string{
		"-netdev", fmt.Sprintf("tap,id=net%d,fd=%s,vhost=off", i, part["fd"]),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s,romfile=", i, part["guest_mac"]),
	}, nil
}
