package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Names below the pod directory.
const (
	File = "stage1/plan" // the plan
	// Scratch is the directory on which PID 1 mounts, in its own namespace, what apps share. The plan itself
	// is below it, and has been read by then; a directory of its own would be one more to make and remove.
	Scratch = poddir.Stage1Dir
)

// Schema of the plan.
const Schema = 1

// Plan is the first line of the file, a JSON object. Compiled filters follow it as they are.
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

	filters []byte
}

// App is one app of the plan.
type App struct {
	poddir.App
	// Caps is the bounding set as a mask.
	Caps uint64 `json:"caps"`
	// Filter is where the compiled seccomp program is, counted from the end of the first line; an empty
	// one means unconfined.
	Filter Span   `json:"filter,omitzero"`
	Cgroup Cgroup `json:"cgroup"`
	// Streams are descriptors that PID 1 was born with, to be the app's own. Nil: PID 1's 0, 1 and 2.
	Streams *Streams `json:"streams,omitempty"`
}

// Streams are numbers of descriptors. Zero is none: stdin of an app that has none, or of one with a terminal.
type Streams struct {
	Stdin  int `json:"stdin,omitempty"`
	Stdout int `json:"stdout,omitempty"`
	Stderr int `json:"stderr,omitempty"`
	// Rows and Cols are the first size of a terminal; zero leaves that to PID 1's own descriptor 0.
	Rows uint16 `json:"rows,omitempty"`
	Cols uint16 `json:"cols,omitempty"`
}

// Cgroup is the app's own cgroup: the directory per controller on v1, or the one of key "" on v2.
type Cgroup struct {
	Version int               `json:"version"`
	Dirs    map[string]string `json:"dirs,omitempty"`
}

// Span is a part of the bytes after the first line.
type Span struct {
	Offset int `json:"offset"`
	Size   int `json:"size"`
}

// AddFilter keeps a filter once, however many apps have it.
func (p *Plan) AddFilter(filter []byte) Span {
	at := bytes.Index(p.filters, filter)
	if at < 0 {
		at = len(p.filters)
		p.filters = append(p.filters, filter...)
	}
	return Span{Offset: at, Size: len(filter)}
}

// FilterOf returns the app's filter, an array of struct sock_filter, or nil.
func (p *Plan) FilterOf(a *App) ([]byte, error) {
	f := a.Filter
	if f.Offset < 0 || f.Size < 0 || f.Offset > len(p.filters) || f.Size > len(p.filters)-f.Offset || f.Size%8 != 0 {
		return nil, fmt.Errorf("read %s: seccomp filter of app %q is damaged", File, a.Name)
	}
	return p.filters[f.Offset : f.Offset+f.Size], nil
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
	b, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return nil, err
	}
	line, filters, _ := bytes.Cut(b, []byte{'\n'})
	p := &Plan{filters: filters}
	if err := json.Unmarshal(line, p); err != nil {
		return nil, fmt.Errorf("read %s: %w", File, err)
	}
	if p.Schema != Schema {
		return nil, fmt.Errorf("read %s: schema is %d, this supervisor reads %d", File, p.Schema, Schema)
	}
	return p, nil
}

// Write writes the plan into the pod directory dir.
func (p *Plan) Write(dir string) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return poddir.WriteFile(dir, File, append(append(b, '\n'), p.filters...))
}

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
