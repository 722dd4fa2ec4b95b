package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// vmMemory prints what a pod in a machine takes beside the guest's own memory: the supervisor and the server of one
// host volume as they are, and of QEMU what it has more than a bare one with the same devices.
func (b *peers) vmMemory(v *machine, initramfs string) error {
	volume := filepath.Join(b.dir, "memory")
	if err := os.MkdirAll(volume, 0o755); err != nil {
		return err
	}
	pod, err := b.podMemory(v, volume)
	if err != nil {
		return err
	}
	bare, err := b.bareMemory(v, initramfs, volume)
	if err != nil {
		return err
	}
	fmt.Printf("\nmemory of a pod in a machine beside the guest's own, one host volume: PSS, MiB\n%-44s %9s %9s\n", "", "bare", "rkt")
	fmt.Printf("%-44s %9s %9.1f\n", "supervisor", "", pod["rkt"])
	fmt.Printf("%-44s %9.1f %9.1f\n", "virtiofsd", bare["virtiofsd"], pod["virtiofsd"])
	fmt.Printf("%-44s %9.1f %9.1f\n", "QEMU, without the guest's memory", bare["qemu"], pod["qemu"])
	fmt.Printf("%-44s %9s %9.1f\n", "rkt's share (target: at most 16)", "", pod["rkt"]+pod["virtiofsd"]+pod["qemu"]-bare["qemu"])
	return nil
}

// podMemory is by program.
func (b *peers) podMemory(v *machine, volume string) (map[string]float64, error) {
	env := b.env
	defer func() { b.env = env }()
	b.env = append(append([]string{}, env...), "RKT_LOCAL_CONFIG="+v.etc)
	id, err := b.output(b.rkt, "run", "--detach", "--rm", "--stage1=qemu", "--net=none", "--volume=v,kind=host,source="+volume,
		b.image, "--mount=volume=v,target=/vol", "--exec=/bin/sleep", "--", "1000")
	if err != nil {
		return nil, err
	}
	defer b.do(b.rkt, "stop", "--force", id)
	text, err := os.ReadFile(filepath.Join(b.dir, "data/pods/run", id, "pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	time.Sleep(2 * time.Second) // what is asked is a pod's rest, not its start
	out := map[string]float64{"rkt": besideGuest(pid)}
	for _, child := range children(pid) {
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(name), "qemu") {
			name = []byte("qemu")
		}
		out[strings.TrimSpace(string(name))] += besideGuest(child)
	}
	return out, nil
}

// bareMemory has the devices of the pod's machine: a layer, a disk of its own, a share.
func (b *peers) bareMemory(v *machine, initramfs, volume string) (map[string]float64, error) {
	share, socket, err := bareShare(b.dir, volume)
	if err != nil {
		return nil, err
	}
	defer os.Remove(socket)
	defer share.Wait()
	defer share.Process.Kill()
	var disks []string
	for i := range 2 {
		name := filepath.Join(b.dir, fmt.Sprintf("disk%d", i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return nil, err
		}
		if err := os.Truncate(name, 16<<20); err != nil {
			return nil, err
		}
		disks = append(disks, "-drive", fmt.Sprintf("if=none,id=d%d,format=raw,file=%s", i, name), "-device", fmt.Sprintf("virtio-blk-pci,drive=d%d", i))
	}
	cmd, agent, err := bareQEMU(v.accel, v.kernel, initramfs, append([]string{"-m", "256M",
		"-object", "memory-backend-memfd,share=on,id=memory,size=256M", "-machine", "memory-backend=memory",
		"-chardev", "socket,id=s,path=" + socket, "-device", "vhost-user-fs-pci,chardev=s,tag=vol"}, disks...)...)
	if err != nil {
		return nil, err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	defer agent.Close()
	time.Sleep(2 * time.Second)
	return map[string]float64{"qemu": besideGuest(cmd.Process.Pid), "virtiofsd": besideGuest(share.Process.Pid)}, nil
}

// guestLeast is the size of a mapping that holds the guest's memory, or an emulator's translation of its code.
const guestLeast = 64 << 10 // KiB

// besideGuest is the PSS in MiB of what a process has mapped but the guest's memory and code.
func besideGuest(pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	var sum, size float64
	for sc := bufio.NewScanner(f); sc.Scan(); {
		key, rest, _ := strings.Cut(sc.Text(), ":")
		if key != "Size" && key != "Pss" {
			continue
		}
		n, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
		if key == "Size" {
			size = n
		} else if size < guestLeast {
			sum += n
		}
	}
	return sum / 1024
}
