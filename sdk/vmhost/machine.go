package vmhost

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// MachineFile is where Run leaves the machine for the supervisor, below the pod directory. It is private to one
// version of a plugin: who writes it and who reads it are pinned together.
const MachineFile = poddir.Stage1Dir + "/machine.json"

// Names below <pod>/stage1.
const (
	UpperFile  = "rw.ext4"
	CageDir    = "cage"    // an empty directory, to mount on
	EnterSock  = "enter"   // the supervisor's, for `rkt enter`
	ConsoleLog = "console" // what the guest's kernel said, the end of it
)

// Schema of the file.
const Schema = 1

// Machine is everything that is known of a guest before it starts.
type Machine struct {
	Schema int    `json:"schema"`
	UUID   string `json:"uuid"`
	Size
	GrowMiB   int    `json:"growMiB,omitempty"` // how much memory can be added while it runs
	Rigid     string `json:"rigid,omitempty"`   // why none can
	Accel     string `json:"accel"`             // KVM or TCG
	Program   string `json:"program"`
	Version   string `json:"version,omitempty"` // of the program, as it says
	Kernel    string `json:"kernel"`
	Distro    bool   `json:"distro,omitempty"` // the kernel is one with modules, as distributions make them
	Vsock     bool   `json:"vsock,omitempty"`  // the control channel
	Initramfs string `json:"initramfs"`
	// Append is the kernel's command line but for what the VMM itself adds.
	Append string  `json:"append"`
	Disks  []Disk  `json:"disks,omitempty"` // in the guest's order
	Shares []Share `json:"shares,omitempty"`
	// Interfaces are those of the pod's network namespace that the guest becomes.
	Interfaces []poddir.Interface `json:"interfaces,omitempty"`
	Virtiofsd  *Virtiofsd         `json:"virtiofsd,omitempty"` // with Shares of that kind
	Spec       agent.PodSpec      `json:"spec"`
	Config     Config             `json:"config"`
}

// Disk is a file or a block device of the host.
type Disk struct {
	Path     string `json:"path"` // relative to the pod directory, or absolute
	Serial   string `json:"serial"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	Device   bool   `json:"device,omitempty"` // Path is a block device
	// Scratch says that its content means nothing after the machine's end.
	Scratch bool `json:"scratch,omitempty"`
}

// Share is a directory, or one file, of the host.
type Share struct {
	Kind      agent.ShareKind `json:"kind"`
	Tag       string          `json:"tag"`
	Source    string          `json:"source"`
	ReadOnly  bool            `json:"readOnly,omitempty"`
	Recursive bool            `json:"recursive,omitempty"`
	File      string          `json:"file,omitempty"` // Source is no directory: its name in the share
}

// Virtiofsd is the server of shared directories.
type Virtiofsd struct {
	Program string `json:"program"`
	Rust    bool   `json:"rust"` // the later of the two programs of this name
}

// ReadMachine reads the file of a pod directory.
func ReadMachine(dir string) (*Machine, error) {
	m := new(Machine)
	if err := poddir.ReadJSON(dir, MachineFile, m); err != nil {
		return nil, err
	}
	if m.Schema != Schema {
		return nil, fmt.Errorf("read %s: schema is %d, this supervisor reads %d", MachineFile, m.Schema, Schema)
	}
	return m, nil
}

// Write writes it for root alone, unlike poddir's files, which a group may read: the spec holds the guest's entropy.
func (m *Machine) Write(dir string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, MachineFile)
	tmp := path + ".tmp" + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
}

// userBase begins a range of users that no distribution and no service manager gives out.
const userBase = 1879048192

// User is the user that this pod's VMM runs as: nobody else's, so that it can reach no other pod's either.
func (m *Machine) User() int {
	h := sha256.Sum256([]byte(m.UUID))
	return userBase + int(binary.BigEndian.Uint32(h[:])>>5) // 27 bits
}

// Abs makes a path of the machine absolute.
func Abs(podDir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(podDir, path)
}
