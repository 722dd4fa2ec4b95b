package plan

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Names below the pod directory.
const (
	File = "stage1/plan.json" // the plan
	// Mount is the empty directory on which each mount namespace of the pod assembles a root.
	Mount = "stage1/root"
	// Scratch is the empty directory on which PID 1 keeps mounts that apps share.
	Scratch = "stage1/shared"
)

// Schema of plan.json.
const Schema = 1

// Plan is plan.json.
type Plan struct {
	Schema   int             `json:"schema"`
	UUID     string          `json:"uuid"`
	Hostname string          `json:"hostname"`
	Apps     []App           `json:"apps"`
	Volumes  []poddir.Volume `json:"volumes,omitempty"`
	// Volatile says that nothing of the pod need survive a crash, so overlays need not be synced.
	Volatile bool `json:"volatile,omitempty"`
	Detached bool `json:"detached,omitempty"`
	Debug    bool `json:"debug,omitempty"`
	// Warnings are for the user, when the pod starts: limits that do not hold on this host.
	Warnings []string `json:"warnings,omitempty"`
}

// App is one app of the plan.
type App struct {
	poddir.App
	// Caps is the bounding set as a mask.
	Caps uint64 `json:"caps"`
	// Filter is the file with the compiled seccomp program; empty means unconfined.
	Filter string `json:"filter,omitempty"`
	Cgroup Cgroup `json:"cgroup"`
}

// Cgroup is the app's own cgroup: the directory per controller on v1, or the one of key "" on v2.
type Cgroup struct {
	Version int               `json:"version"`
	Dirs    map[string]string `json:"dirs,omitempty"`
}

// App returns the app of that name, or nil.
func (p *Plan) App(name string) *App {
	i := slices.IndexFunc(p.Apps, func(a App) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Apps[i]
}

// Volume returns the volume of that name, or nil.
func (p *Plan) Volume(name string) *poddir.Volume {
	i := slices.IndexFunc(p.Volumes, func(v poddir.Volume) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &p.Volumes[i]
}

// Read reads the plan of the pod directory dir.
func Read(dir string) (*Plan, error) {
	p := new(Plan)
	if err := poddir.ReadJSON(dir, File, p); err != nil {
		return nil, err
	}
	if p.Schema != Schema {
		return nil, fmt.Errorf("read %s: schema is %d, this supervisor reads %d", File, p.Schema, Schema)
	}
	return p, nil
}

// Write writes the plan into the pod directory dir.
func (p *Plan) Write(dir string) error { return poddir.WriteJSON(dir, File, p) }

// capNames is the kernel's list, by number (linux/capability.h).
func capNames() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
		"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
		"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
		"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
		"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
		"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
		"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
	}
}

// CapMask turns names into a mask.
func CapMask(names []string) (uint64, error) {
	all := capNames()
	var mask uint64
	for _, n := range names {
		i := slices.Index(all, n)
		if i < 0 {
			return 0, fmt.Errorf("capability %q is unknown to this version", n)
		}
		mask |= 1 << i
	}
	return mask, nil
}

// CapNames turns a mask into names, for messages.
func CapNames(mask uint64) []string {
	all := capNames()
	var out []string
	for ; mask != 0; mask &= mask - 1 {
		if i := bits.TrailingZeros64(mask); i < len(all) {
			out = append(out, all[i])
		}
	}
	return out
}
