package vmguest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// sysBlock is where the kernel lists disks.
const sysBlock = "/sys/block"

// findDisk returns the node of the virtio disk, waiting for it.
func findDisk(d agent.Device) (string, error) {
	var name string
	err := await(func() (bool, error) {
		var err error
		name, err = lookDisk(sysBlock, d)
		return err == nil, err
	})
	if err != nil {
		return "", err
	}
	return filepath.Join("/dev", name), nil
}

// lookDisk finds the disk by its serial, or by its place. The kernel names virtio disks in the order in which it
// finds them, which is the order of the VMM's buses.
func lookDisk(sys string, d agent.Device) (string, error) {
	entries, err := os.ReadDir(sys)
	if err != nil {
		return "", err
	}
	var disks []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "vd") {
			disks = append(disks, e.Name())
		}
	}
	slices.SortFunc(disks, func(a, b string) int { // vda, vdb, ... vdz, vdaa
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	if d.Serial == "" {
		if d.Index >= len(disks) {
			return "", fmt.Errorf("disk %d is not there: the machine has %d", d.Index, len(disks))
		}
		return disks[d.Index], nil
	}
	for _, name := range disks {
		b, err := os.ReadFile(filepath.Join(sys, name, "serial"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if strings.TrimRight(string(b), "\x00 \n") == d.Serial {
			return name, nil
		}
	}
	return "", fmt.Errorf("no disk of the machine has the serial %q", d.Serial)
}
