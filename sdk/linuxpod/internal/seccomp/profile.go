package seccomp

import (
	"fmt"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// profileVersion is the module version of the profile, a part of the cache's key. A test compares it with
// go.mod.
const profileVersion = "github.com/moby/profiles/seccomp v0.3.0"

// host is what the conditions of a profile look at.
type host struct {
	arch   string // GOARCH, which for our two is the profile's name, too
	caps   []string
	kernel moby.KernelVersion
}

// kernelVersion parses "6.12.3-amd64" as far as it matters.
func kernelVersion() (moby.KernelVersion, error) {
	var v moby.KernelVersion
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return v, err
	}
	release := unix.ByteSliceToString(uts.Release[:])
	if _, err := fmt.Sscanf(release, "%d.%d", &v.Kernel, &v.Major); err != nil {
		return v, fmt.Errorf("parse kernel version %q: %w", release, err)
	}
	return v, nil
}

// refused are calls that podman's profile refuses and this one allows. vmsplice lends the kernel references to
// a process's own pages, the way into several holes of pipes, and next to nobody needs it.
func refused() []string { return []string{"vmsplice"} }

// rules returns the profile's rules that hold on h, without what is refused all the same. The profile's own
// function for this knows only the architecture that it was built for.
func rules(p *moby.Seccomp, h host) []specs.LinuxSyscall {
	var out []specs.LinuxSyscall
	for _, s := range p.Syscalls {
		if !included(s.Includes, h) || excluded(s.Excludes, h) {
			continue
		}
		r := s.LinuxSyscall
		if r.Action == specs.ActAllow {
			r.Names = slices.DeleteFunc(slices.Clone(r.Names), func(n string) bool { return slices.Contains(refused(), n) })
		}
		out = append(out, r)
	}
	return out
}

// included: every condition holds, and of several capabilities each is there.
func included(f *moby.Filter, h host) bool {
	if f == nil {
		return true
	}
	if len(f.Arches) > 0 && !slices.Contains(f.Arches, h.arch) {
		return false
	}
	for _, c := range f.Caps {
		if !slices.Contains(h.caps, c) {
			return false
		}
	}
	return f.MinKernel == nil || h.atLeast(*f.MinKernel)
}

// excluded: one condition is enough, and one of several capabilities.
func excluded(f *moby.Filter, h host) bool {
	if f == nil {
		return false
	}
	if slices.Contains(f.Arches, h.arch) {
		return true
	}
	for _, c := range f.Caps {
		if slices.Contains(h.caps, c) {
			return true
		}
	}
	return f.MinKernel != nil && h.atLeast(*f.MinKernel)
}

func (h host) atLeast(v moby.KernelVersion) bool {
	return h.kernel.Kernel > v.Kernel || h.kernel.Kernel == v.Kernel && h.kernel.Major >= v.Major
}

// newest returns the highest number that the profile names, under whatever conditions: what is above is newer
// than the profile.
func newest(p *moby.Seccomp, numbers map[string]uint32) uint32 {
	const private = 0xf0000 // from here on, ARM's own calls
	var n uint32
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			if nr, ok := numbers[name]; ok && nr < private {
				n = max(n, nr)
			}
		}
	}
	return n
}
