package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Validate says what a machine of its own cannot do.
func (s *Stage1) Validate(_ context.Context, podDir string) ([]plugin.Diagnostic, error) {
	pod := new(poddir.Pod)
	if err := poddir.ReadJSON(podDir, poddir.PodFile, pod); err != nil {
		return nil, err
	}
	// The guest runs the pod with the code that runs it in Linux namespaces: what that cannot do, it cannot.
	v := &validation{flavor: s.Flavor, ds: linuxpod.Check(pod)}
	for i := range pod.Volumes {
		v.volume(fmt.Sprintf("volumes[%d].", i), &pod.Volumes[i])
	}
	for i, p := range pod.Ports {
		if p.Protocol != "tcp" && p.Protocol != "udp" && p.Protocol != "sctp" {
			v.refuse(fmt.Sprintf("ports[%d].protocol", i), "protocol %q is unknown to this stage1", p.Protocol)
		}
	}
	return v.ds, nil
}

type validation struct {
	flavor string
	ds     []plugin.Diagnostic
}

func (v *validation) refuse(field, format string, args ...any) {
	v.ds = append(v.ds, plugin.Diagnostic{Severity: plugin.SeverityError, Field: field, Summary: fmt.Sprintf(format, args...)})
}

// volume refuses what has no meaning in another kernel: what is behind a socket, a pipe or a character device is
// in this one.
func (v *validation) volume(field string, vol *poddir.Volume) {
	switch vol.Kind {
	case poddir.VolumeEmpty:
		return
	case poddir.VolumeHost:
	default:
		return // named by linuxpod
	}
	st, err := os.Stat(vol.Source)
	if errors.Is(err, fs.ErrNotExist) {
		return // core says it better, or it comes to be until the start
	}
	if err != nil {
		v.refuse(field+"source", "%v", err)
		return
	}
	what := ""
	switch mode := st.Mode(); {
	case mode&os.ModeSocket != 0:
		what = "a socket"
	case mode&os.ModeNamedPipe != 0:
		what = "a named pipe"
	case mode&os.ModeCharDevice != 0:
		what = "a character device"
	}
	if what != "" {
		v.refuse(field+"source", "%s is %s of the host's kernel, which flavor %q cannot reach from its own", vol.Source, what, v.flavor)
	}
	var fsinfo unix.Statfs_t
	if err := unix.Statfs(vol.Source, &fsinfo); err == nil && (fsinfo.Type == unix.PROC_SUPER_MAGIC || fsinfo.Type == unix.SYSFS_MAGIC ||
		fsinfo.Type == unix.CGROUP_SUPER_MAGIC || fsinfo.Type == unix.CGROUP2_SUPER_MAGIC) {
		v.refuse(field+"source", "%s shows the host's kernel, which flavor %q does not share with its pods", vol.Source, v.flavor)
	}
}
