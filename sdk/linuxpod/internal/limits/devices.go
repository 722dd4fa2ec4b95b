package limits

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// Device is one rule that opens devices to an app; what no rule names is closed.
type Device struct {
	Type         byte   // 'c' or 'b'
	Major, Minor int64  // or all
	Access       string // of "rwm"
}

const all = -1

// String is the form of cgroup v1's devices.allow: "c 1:3 rwm".
func (d Device) String() string {
	number := func(n int64) string {
		if n == all {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%c %s:%s %s", d.Type, number(d.Major), number(d.Minor), d.Access)
}

// DefaultDevices are what every app may use: the nodes of its /dev. It may make any node (with CAP_MKNOD), as
// package managers do, but open none that is not listed.
func DefaultDevices() []Device {
	return []Device{
		{'c', all, all, "m"},
		{'b', all, all, "m"},
		{'c', 1, 3, "rwm"},     // null
		{'c', 1, 5, "rwm"},     // zero
		{'c', 1, 7, "rwm"},     // full
		{'c', 1, 8, "rwm"},     // random
		{'c', 1, 9, "rwm"},     // urandom
		{'c', 5, 0, "rwm"},     // tty
		{'c', 5, 1, "rwm"},     // console
		{'c', 5, 2, "rwm"},     // ptmx
		{'c', 136, all, "rwm"}, // pts
		{'c', 10, 200, "rwm"},  // net/tun
	}
}

// HostDevices are the rules for the host's devices that the app mounts. A device below a directory that is
// mounted stays closed: it was not asked for by name. The number is the one that the node has now; should
// another node take its place before it is mounted, that one is closed.
func HostDevices(app *poddir.App, volumes []poddir.Volume) []Device {
	var out []Device
	for _, m := range app.Mounts {
		for _, v := range volumes {
			if v.Name != m.Volume || v.Kind != poddir.VolumeHost {
				continue
			}
			var st unix.Stat_t
			if unix.Stat(v.Source, &st) != nil {
				continue // who mounts it says what is wrong
			}
			d := Device{Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), Access: "rw"}
			if v.ReadOnly || m.ReadOnly {
				d.Access = "r"
			}
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFCHR:
				d.Type = 'c'
			case unix.S_IFBLK:
				d.Type = 'b'
			default:
				continue
			}
			out = append(out, d)
		}
	}
	return out
}

func accessBits(access string) int32 {
	var bits int32
	for i, c := range "mrw" { // BPF_DEVCG_ACC_MKNOD 1, _READ 2, _WRITE 4
		if strings.ContainsRune(access, c) {
			bits |= 1 << i
		}
	}
	return bits
}
