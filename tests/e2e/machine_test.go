package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMachine looks at one pod with everything a machine can be given: a directory, a disk and a network. All flavors
// show it the same; of those with a machine, the processes outside are looked at, too.
func TestMachine(t *testing.T) {
	before := snapshot(t)
	eachFlavor(t, machine)
	before.compare(t)
}

func machine(t *testing.T, flavor string) {
	c := newFlavor(t, "machine-"+flavor, flavor)
	disk := loop(t)
	volume := t.TempDir()
	c.rkt("--insecure-options=http", "fetch", c.image("latest"))
	id := strings.TrimSpace(c.rkt("run", "--stage1="+flavor, "--detach", "--volume=dir,kind=host,source="+volume,
		"--volume=disk,kind=host,source="+disk, c.image("latest"), "--mount=volume=dir,target=/dir", "--mount=volume=disk,target=/disk",
		"--exec=/bin/sleep", "--", "100000"))
	defer func() {
		c.rkt("stop", "--force", id)
		c.rkt("gc", "--grace-period=0s")
	}()
	t.Run("block device", func(t *testing.T) { blockDevice(t, c, id, disk) })
	if flavor == "linux" {
		return
	}
	supervisor, err := os.ReadFile(filepath.Join(c.data, "pods/run", id, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(supervisor))
	t.Run("confined", func(t *testing.T) { confined(t, c, flavor, id, pid) })
	t.Run("clock", func(t *testing.T) { clock(t, c, id, pid) })
}

// loop is a disk of the host that begins with a word.
func loop(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	content := make([]byte, 4<<20)
	copy(content, "from the host\n")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", file).Output()
	if err != nil {
		t.Skipf("no loop device here: %v", err)
	}
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil {
			t.Errorf("detach %s: %v %s", dev, err, out)
		}
	})
	return dev
}

// blockDevice: the app reads what the host has written to the disk, and the host what the app has.
func blockDevice(t *testing.T, c *crash, id, disk string) {
	out := c.rkt("enter", id, "/bin/sh", "-c", `test -b /disk && head -n 1 /disk && printf 'from the app\n' | dd of=/disk bs=4096 seek=1 conv=notrunc,fsync 2>/dev/null`)
	if strings.TrimSpace(out) != "from the host" {
		t.Errorf("the app read %q", out)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, 13)
	if _, err := f.ReadAt(got, 4096); err != nil || string(got) != "from the app\n" {
		t.Errorf("the host reads %q, %v", got, err)
	}
}

// confined looks at the processes that serve the machine: the VMM, and what serves the volume for it.
func confined(t *testing.T, c *crash, flavor, id, supervisor string) {
	found := map[string]bool{}
	for _, pid := range childrenOf(supervisor) {
		p := "/proc/" + pid
		comm, err := os.ReadFile(p + "/comm")
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSpace(string(comm))
		found[name] = true
		vmm := name != "virtiofsd"
		t.Run(name, func(t *testing.T) {
			statusOf(t, p, flavor, vmm)
			namespaces(t, p, vmm)
			cgroups(t, p, id)
			if _, err := os.Stat(p + "/root/etc/passwd"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it sees the host's /etc: %v", err)
			}
			if vmm {
				descriptors(t, p, c.data)
			}
		})
	}
	if want := map[string]int{"qemu": 2, "lkvm": 1}[flavor]; len(found) != want {
		t.Errorf("processes below the supervisor: %v, want %d", found, want)
	}
}

func childrenOf(pid string) []string {
	var out []string
	lists, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, l := range lists {
		b, _ := os.ReadFile(l)
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

// statusOf: the VMM is a user of its own with nothing; who serves files as their owners is root with what that takes.
// kvmtool does that itself.
func statusOf(t *testing.T, p, flavor string, vmm bool) {
	b, err := os.ReadFile(p + "/status")
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) []string {
		m := regexp.MustCompile(`(?m)^` + name + `:[ \t]*(.*)$`).FindSubmatch(b)
		if m == nil {
			t.Fatalf("no %s in its status", name)
		}
		return strings.Fields(string(m[1]))
	}
	if got := field("NoNewPrivs")[0]; got != "1" {
		t.Errorf("NoNewPrivs is %s", got)
	}
	if len(field("Groups")) != 0 {
		t.Errorf("groups %v", field("Groups"))
	}
	bounding, err := strconv.ParseUint(field("CapBnd")[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if not := uint64(1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_MODULE); bounding&not != 0 {
		t.Errorf("bounding set %x", bounding)
	}
	if vmm && flavor == "qemu" {
		if uid := field("Uid"); slices.Contains(uid, "0") || uid[0] != uid[3] {
			t.Errorf("users %v", uid)
		}
		if got := field("CapEff")[0]; bounding != 0 || strings.Trim(got, "0") != "" {
			t.Errorf("capabilities %s, bounding set %x", got, bounding)
		}
		if got := field("Seccomp")[0]; got != "2" {
			t.Errorf("no system call filter: %s", got)
		}
	}
}

// namespaces: each has its own, and the VMM the pod's network, which is not the host's.
func namespaces(t *testing.T, p string, vmm bool) {
	for _, ns := range []string{"mnt", "pid", "ipc", "uts", "net"} {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		its, ierr := os.Readlink(p + "/ns/" + ns)
		if err := errors.Join(err, ierr); err != nil || host == its {
			t.Errorf("namespace %s is the host's, %v", ns, err)
		}
	}
	links, err := os.ReadFile(p + "/net/dev")
	if err != nil || vmm != bytes.Contains(links, []byte("eth0:")) {
		t.Errorf("its network has %s, %v", links, err)
	}
}

func cgroups(t *testing.T, p, id string) {
	b, err := os.ReadFile(p + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if v1 := slices.Contains([]string{"memory", "pids", "devices"}, parts[1]); (v1 || parts[0] == "0" && !bytes.Contains(b, []byte(":memory:"))) && !(strings.Contains(parts[2], id) && strings.HasSuffix(parts[2], "/vmm")) {
			t.Errorf("cgroup %s", line)
		}
	}
}

// descriptors: nothing but pipes, sockets, devices of its own and this pod's files, and no directory but one that it serves.
func descriptors(t *testing.T, p, data string) {
	known := regexp.MustCompile(`^(pipe:|socket:|anon_inode:|/memfd:|/dev/(null|urandom|kvm|net/tun|vhost-net|vhost-vsock|loop[0-9]+)$|/guest/|/$|` +
		regexp.QuoteMeta(data) + `/(pods/[a-z-]+/[0-9a-f-]+/stage1/rw\.ext4|cache/)|.*\(deleted\)$)`)
	fds, err := os.ReadDir(p + "/fd")
	if err != nil || len(fds) == 0 {
		t.Fatalf("%d descriptors, %v", len(fds), err)
	}
	vsock := false
	for _, fd := range fds {
		path := filepath.Join(p, "fd", fd.Name())
		to, err := os.Readlink(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile
		}
		vsock = vsock || to == "/dev/vhost-vsock"
		var st unix.Stat_t
		if serr := unix.Stat(path, &st); err != nil || serr != nil || !known.MatchString(to) ||
			st.Mode&unix.S_IFMT == unix.S_IFDIR && !strings.HasPrefix(to, "/guest/share") {
			t.Errorf("descriptor %s is %s (%o), %v, %v", fd.Name(), to, st.Mode, err, serr)
		}
	}
	// Where the host has it, it is the way to the guest.
	if _, err := os.Stat("/dev/vhost-vsock"); (err == nil) != vsock {
		t.Errorf("/dev/vhost-vsock of the host: %v; the VMM has it: %v", err, vsock)
	}
}

// clock: a machine that stood still for a while has the right time afterwards.
func clock(t *testing.T, c *crash, id, supervisor string) {
	var stopped []int
	for _, s := range childrenOf(supervisor) {
		pid, err := strconv.Atoi(s)
		if err == nil {
			err = unix.Kill(pid, unix.SIGSTOP)
		}
		if err != nil {
			t.Fatal(err)
		}
		stopped = append(stopped, pid)
	}
	time.Sleep(4 * time.Second) // it is the pause that is tested
	for _, pid := range stopped {
		if err := unix.Kill(pid, unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	out := strings.TrimSpace(c.rkt("enter", id, "/bin/date", "+%s"))
	n, err := strconv.ParseInt(out, 10, 64)
	// The guest says it somewhere between begin and now; a second is what date cuts off.
	if now := time.Unix(n, 0); err != nil || now.Before(begin.Add(-2*time.Second)) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("it is %q in the guest, %d on the host, %v", out, begin.Unix(), err)
	}
}
