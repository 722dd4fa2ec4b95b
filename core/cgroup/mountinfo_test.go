package cgroup

import (
	"strings"
	"testing"
)

const hostMounts = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /mnt/odd\040place rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:32 /docker/x /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
garbage
`

func TestParseMounts(t *testing.T) {
	got, err := parseMounts(strings.NewReader(hostMounts))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]mount{
		"cpu":     {"/", "/sys/fs/cgroup/cpu,cpuacct"},
		"cpuacct": {"/", "/sys/fs/cgroup/cpu,cpuacct"},
		"memory":  {"/", "/sys/fs/cgroup/memory"},
		"pids":    {"/", "/mnt/odd place"},
		"freezer": {},
	} {
		if got[name] != want {
			t.Errorf("%s: got %+v, want %+v", name, got[name], want)
		}
	}
}

func TestV1Parent(t *testing.T) {
	mounts := map[string]mount{
		"memory":  {"/", "/sys/fs/cgroup/memory"},
		"pids":    {"/docker/x", "/sys/fs/cgroup/pids"},
		"cpu":     {"/docker/x", "/sys/fs/cgroup/cpu"},
		"devices": {"/", "/sys/fs/cgroup/devices"},
	}
	own := map[string]string{"memory": "/a/b", "pids": "/docker/x/y", "cpu": "/docker/xy", "freezer": "/"}
	for name, want := range map[string]string{
		"memory":  "/sys/fs/cgroup/memory/a/b",
		"pids":    "/sys/fs/cgroup/pids/y",
		"cpu":     "", // not below what is mounted
		"freezer": "", // not mounted
		"devices": "", // not in /proc/self/cgroup
	} {
		got, err := v1Parent(mounts, own, name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
		}
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(hostMounts)
	f.Add(`1 2 3 \777\1 \04 r - cgroup c ,`)
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = parseMounts(strings.NewReader(s))
	})
}
