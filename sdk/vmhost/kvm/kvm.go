package kvm

import (
	"errors"
	"fmt"
	"io/fs"
)

// Unusable says why KVM does not work here, and what helps.
type Unusable struct {
	Reason string
	Remedy string
	Err    error
}

func (e *Unusable) Error() string {
	if e.Err != nil {
		return e.Reason + ": " + e.Err.Error()
	}
	return e.Reason
}

func (e *Unusable) Unwrap() error { return e.Err }

// Device is what the probe opens.
const Device = "/dev/kvm"

// Probe runs a guest. Its error is an *Unusable.
func Probe() error { return probe(Device) }

func openError(device string, err error) *Unusable {
	if errors.Is(err, fs.ErrNotExist) {
		return &Unusable{
			Reason: fmt.Sprintf("%s does not exist: the processor has no virtualization, or the firmware has it off, or no module is loaded", device),
			Remedy: "modprobe kvm_intel || modprobe kvm_amd",
		}
	}
	return &Unusable{Reason: "open " + device, Err: err, Remedy: "run rkt as root, or as a member of the group kvm"}
}
