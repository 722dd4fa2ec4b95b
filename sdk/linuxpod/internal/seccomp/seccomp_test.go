package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

const childEnv = "RKT_SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	os.Exit(m.Run())
}

// defaultCaps are those of a pod that asks for nothing.
func defaultCaps() []string {
	return []string{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}
}

// data is a struct seccomp_data for x/net/bpf's machine, which loads big-endian words.
func data(nr, arch uint32, args ...uint64) []byte {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b[offNr:], nr)
	binary.BigEndian.PutUint32(b[offArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(b[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(b[offArgs+8*i+4:], uint32(a>>32))
	}
	return b
}

func machine(t *testing.T, p *moby.Seccomp, h host) *bpf.VM {
	t.Helper()
	raw, err := compile(p, h)
	if err != nil {
		t.Fatal(err)
	}
	insns, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("an instruction of the program is not understood")
	}
	vm, err := bpf.NewVM(insns)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func answerOf(t *testing.T, vm *bpf.VM, d []byte) uint32 {
	t.Helper()
	n, err := vm.Run(d)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

const allow = unix.SECCOMP_RET_ALLOW

const addrNoRandomize = 0x40000 // linux/personality.h

func TestKnownAnswers(t *testing.T) {
	eperm, enosys := errno(unix.EPERM), errno(unix.ENOSYS)
	h := host{caps: defaultCaps(), kernel: moby.KernelVersion{Kernel: 6, Major: 1}}
	admin := append(defaultCaps(), "CAP_SYS_ADMIN")
	for _, tc := range []struct {
		arch string
		abi  int
		caps []string
		name string
		args []uint64
		want uint32
	}{
		{"amd64", 0, nil, "read", nil, allow},
		{"amd64", 0, nil, "mount", nil, eperm},
		{"amd64", 0, nil, "umount2", nil, eperm},
		{"amd64", 0, nil, "unshare", nil, eperm},
		{"amd64", 0, nil, "setns", nil, eperm},
		{"amd64", 0, nil, "bpf", nil, eperm},
		{"amd64", 0, nil, "keyctl", nil, eperm},
		{"amd64", 0, nil, "add_key", nil, eperm},
		{"amd64", 0, nil, "userfaultfd", nil, eperm},
		{"amd64", 0, nil, "perf_event_open", nil, eperm},
		{"amd64", 0, nil, "io_uring_setup", nil, eperm},
		{"amd64", 0, nil, "open_by_handle_at", nil, eperm},
		{"amd64", 0, nil, "kexec_load", nil, eperm},
		{"amd64", 0, nil, "init_module", nil, eperm},
		{"amd64", 0, nil, "iopl", nil, eperm},
		{"amd64", 0, nil, "reboot", nil, eperm},
		{"amd64", 0, nil, "swapon", nil, eperm},
		{"amd64", 0, nil, "pivot_root", nil, eperm},
		{"amd64", 0, nil, "settimeofday", nil, eperm},
		{"amd64", 0, nil, "vmsplice", nil, eperm},
		{"amd64", 0, admin, "vmsplice", nil, eperm},
		{"arm64", 0, nil, "vmsplice", nil, eperm},
		{"amd64", 0, nil, "chroot", nil, allow},
		{"amd64", 0, nil, "arch_prctl", nil, allow},
		{"amd64", 0, nil, "clone3", nil, enosys},
		{"amd64", 0, nil, "clone", []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, allow},
		{"amd64", 0, nil, "clone", []uint64{unix.CLONE_NEWUSER}, eperm},
		{"amd64", 0, nil, "clone", []uint64{unix.CLONE_NEWUSER | 1<<40}, eperm},
		{"amd64", 0, nil, "personality", []uint64{0}, allow},
		{"amd64", 0, nil, "personality", []uint64{0xffffffff}, allow},
		{"amd64", 0, nil, "personality", []uint64{addrNoRandomize}, eperm},
		{"amd64", 0, nil, "personality", []uint64{1 << 32}, eperm},
		{"amd64", 0, nil, "socket", []uint64{unix.AF_INET}, allow},
		{"amd64", 0, nil, "socket", []uint64{unix.AF_UNIX}, allow},
		{"amd64", 0, nil, "socket", []uint64{unix.AF_NETLINK}, allow},
		{"amd64", 0, nil, "socket", []uint64{unix.AF_VSOCK}, eperm},
		{"amd64", 0, nil, "socket", []uint64{unix.AF_ALG}, eperm},
		{"amd64", 0, nil, "socket", []uint64{1<<32 | unix.AF_VSOCK}, eperm},
		{"amd64", 0, admin, "mount", nil, allow},
		{"amd64", 0, admin, "clone3", nil, allow},
		{"amd64", 0, admin, "clone", []uint64{unix.CLONE_NEWUSER}, allow},
		{"amd64", 0, admin, "init_module", nil, eperm},
		{"amd64", 1, nil, "read", nil, allow},
		{"amd64", 1, nil, "mount", nil, eperm},
		{"amd64", 1, nil, "clone3", nil, enosys},
		{"amd64", 1, nil, "clone", []uint64{unix.CLONE_NEWNS}, eperm},
		{"amd64", 1, nil, "_llseek", nil, allow},
		{"arm64", 0, nil, "read", nil, allow},
		{"arm64", 0, nil, "mount", nil, eperm},
		{"arm64", 0, nil, "clone3", nil, enosys},
		{"arm64", 0, nil, "clone", []uint64{unix.CLONE_NEWPID}, eperm},
		{"arm64", 0, nil, "socket", []uint64{unix.AF_VSOCK}, eperm},
		{"arm64", 1, nil, "read", nil, allow},
		{"arm64", 1, nil, "set_tls", nil, allow},
		{"arm64", 1, nil, "cacheflush", nil, allow},
		{"arm64", 1, nil, "usr26", nil, enosys},
		{"arm64", 1, nil, "mount", nil, eperm},
	} {
		h.arch, h.caps = tc.arch, defaultCaps()
		if tc.caps != nil {
			h.caps = tc.caps
		}
		as, err := abis(tc.arch)
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := as[tc.abi].numbers()
		if err != nil {
			t.Fatal(err)
		}
		nr, ok := numbers[tc.name]
		if !ok {
			t.Errorf("%s: no number for %s", tc.arch, tc.name)
			continue
		}
		vm := machine(t, moby.DefaultProfile(), h)
		if got := answerOf(t, vm, data(nr, as[tc.abi].audit, tc.args...)); got != tc.want {
			t.Errorf("%s/%d %s(%#x): got %#x, want %#x", tc.arch, tc.abi, tc.name, tc.args, got, tc.want)
		}
	}
}

func TestForeignNumbers(t *testing.T) {
	vm := machine(t, moby.DefaultProfile(), host{arch: "amd64", caps: defaultCaps()})
	for _, tc := range []struct {
		what     string
		nr, arch uint32
		want     uint32
	}{
		{"newer than the profile", 999, unix.AUDIT_ARCH_X86_64, errno(unix.ENOSYS)},
		{"the last before x32", x32Bit - 1, unix.AUDIT_ARCH_X86_64, errno(unix.ENOSYS)},
		{"x32 read", x32Bit, unix.AUDIT_ARCH_X86_64, errno(unix.EPERM)},
		{"x32 mount", x32Bit | 165, unix.AUDIT_ARCH_X86_64, errno(unix.EPERM)},
		{"-1", 0xffffffff, unix.AUDIT_ARCH_X86_64, errno(unix.EPERM)},
		{"newer than the profile, i386", 999, unix.AUDIT_ARCH_I386, errno(unix.ENOSYS)},
		{"ARM on x86", 0, unix.AUDIT_ARCH_ARM, unix.SECCOMP_RET_KILL_PROCESS},
	} {
		if got := answerOf(t, vm, data(tc.nr, tc.arch)); got != tc.want {
			t.Errorf("%s: got %#x, want %#x", tc.what, got, tc.want)
		}
	}
}

// oracle answers a call by going through the profile's rules one by one.
func oracle(p *moby.Seccomp, h host, a abi, names map[uint32][]string, top, nr uint32, args []uint64) uint32 {
	if a.limit > 0 && nr >= a.limit {
		return errno(unix.EPERM)
	}
	named := false
	for _, r := range rules(p, h) {
		for _, name := range names[nr] {
			if !slices.Contains(r.Names, name) {
				continue
			}
			named = true
			if slices.ContainsFunc(r.Args, func(c specs.LinuxSeccompArg) bool { return !holds(c, args[c.Index]) }) {
				continue
			}
			act, _ := action(r.Action, r.ErrnoRet)
			return act
		}
	}
	if !named && nr > top {
		return errno(unix.ENOSYS)
	}
	return errno(unix.EPERM)
}

func holds(c specs.LinuxSeccompArg, v uint64) bool {
	switch c.Op {
	case specs.OpEqualTo:
		return v == c.Value
	case specs.OpNotEqual:
		return v != c.Value
	case specs.OpMaskedEqual:
		return v&c.Value == c.ValueTwo
	case specs.OpLessThan:
		return v < c.Value
	case specs.OpLessEqual:
		return v <= c.Value
	case specs.OpGreaterThan:
		return v > c.Value
	}
	return v >= c.Value
}

// TestAgainstOracle compares the program with the profile for every number and for arguments around every
// value that a rule compares with.
func TestAgainstOracle(t *testing.T) {
	p := moby.DefaultProfile()
	values := []uint64{0, 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 | 1, 1<<64 - 1, unix.CLONE_NEWNS, unix.CLONE_VM}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			values = append(values, a.Value, a.Value-1, a.Value+1, a.Value|1<<32)
		}
	}
	slices.Sort(values)
	values = slices.Compact(values)
	for _, arch := range []string{"amd64", "arm64"} {
		for _, caps := range [][]string{nil, defaultCaps(), {"CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_PTRACE"}} {
			h := host{arch: arch, caps: caps, kernel: moby.KernelVersion{Kernel: 6, Major: 12}}
			vm := machine(t, p, h)
			as, _ := abis(arch)
			for _, a := range as {
				numbers, err := a.numbers()
				if err != nil {
					t.Fatal(err)
				}
				names := map[uint32][]string{}
				for name, nr := range numbers {
					names[nr] = append(names[nr], name)
				}
				nrs := slices.Sorted(maps.Keys(names))
				for nr := range uint32(1000) {
					nrs = append(nrs, nr)
				}
				top := newest(p, numbers)
				for _, nr := range append(nrs, x32Bit, x32Bit+1, 1<<32-1) {
					tried := values
					if !conditional(p, names[nr]) {
						tried = values[:1]
					}
					for _, v := range tried {
						args := []uint64{v, v, v, v, v, v}
						got, want := answerOf(t, vm, data(nr, a.audit, args...)), oracle(p, h, a, names, top, nr, args)
						if got != want {
							t.Fatalf("%s %#x: call %d %v (%#x): got %#x, want %#x", arch, a.audit, nr, names[nr], v, got, want)
						}
					}
				}
			}
		}
	}
}

func conditional(p *moby.Seccomp, names []string) bool {
	return slices.ContainsFunc(p.Syscalls, func(s *moby.Syscall) bool {
		return len(s.Args) > 0 && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(s.Names, n) })
	})
}

// TestComparisons tries every comparison, also in pairs, on values around the halves' borders.
func TestComparisons(t *testing.T) {
	values := []uint64{0, 1, 5, 1<<32 - 1, 1 << 32, 1<<32 + 1, 7<<32 | 5, 7<<32 | 6, 8 << 32, 1<<64 - 1}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpMaskedEqual, specs.OpLessThan,
		specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual}
	read := uint32(0)
	for _, op := range ops {
		for _, c := range values {
			first := specs.LinuxSeccompArg{Index: 2, Value: c, ValueTwo: c & 5, Op: op}
			second := specs.LinuxSeccompArg{Index: 5, Value: 5, Op: specs.OpGreaterThan}
			p := &moby.Seccomp{
				LinuxSeccomp: specs.LinuxSeccomp{DefaultAction: specs.ActErrno},
				Syscalls: []*moby.Syscall{{LinuxSyscall: specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow,
					Args: []specs.LinuxSeccompArg{first, second}}}},
			}
			raw, err := compile(p, host{arch: "amd64"})
			if err != nil {
				t.Fatal(err)
			}
			insns, _ := bpf.Disassemble(raw)
			vm, err := bpf.NewVM(insns)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				for _, w := range []uint64{5, 6} {
					want := errno(unix.EPERM)
					if holds(first, v) && holds(second, w) {
						want = allow
					}
					if got := answerOf(t, vm, data(read, unix.AUDIT_ARCH_X86_64, 0, 0, v, 0, 0, w)); got != want {
						t.Errorf("%#x %s %#x, %d > 5: got %#x, want %#x", v, op, c, w, got, want)
					}
				}
			}
		}
	}
}

func TestBadProfiles(t *testing.T) {
	profile := func(s specs.LinuxSyscall) *moby.Seccomp {
		s.Names = []string{"read"}
		return &moby.Seccomp{LinuxSeccomp: specs.LinuxSeccomp{DefaultAction: specs.ActErrno}, Syscalls: []*moby.Syscall{{LinuxSyscall: s}}}
	}
	big := uint(5000)
	for name, p := range map[string]*moby.Seccomp{
		"action":     profile(specs.LinuxSyscall{Action: "SCMP_ACT_X"}),
		"notify":     profile(specs.LinuxSyscall{Action: specs.ActNotify}),
		"errno":      profile(specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: &big}),
		"comparison": profile(specs.LinuxSyscall{Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: "X"}}}),
		"argument":   profile(specs.LinuxSyscall{Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}),
		"default":    {},
	} {
		if _, err := compile(p, host{arch: "amd64"}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := compile(moby.DefaultProfile(), host{arch: "riscv64"}); err == nil {
		t.Error("architecture: no error")
	}
}

func TestCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	if b, err := Filter(poddir.SeccompUnconfined, nil, "amd64", dir); b != nil || err != nil {
		t.Errorf("unconfined: %d bytes, %v", len(b), err)
	}
	if _, err := Filter("strict", nil, "amd64", dir); err == nil {
		t.Error("unknown mode: no error")
	}
	first, err := Filter(poddir.SeccompDefault, defaultCaps(), "amd64", dir)
	if err != nil || len(first) == 0 || len(first)%InsnSize != 0 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	shuffled := append([]string{"CAP_CHOWN"}, defaultCaps()...)
	slices.Reverse(shuffled)
	if again, err := Filter(poddir.SeccompDefault, shuffled, "amd64", dir); err != nil || !bytes.Equal(again, first) {
		t.Errorf("again: %v", err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, len(good)), "short": good[:len(good)-8], "flipped": flip(good),
	} {
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Filter(poddir.SeccompDefault, defaultCaps(), "amd64", dir); err != nil || !bytes.Equal(got, first) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(now, good) {
			t.Errorf("%s: not repaired: %v", name, err)
		}
	}
	for _, other := range [][2]string{{"arm64", "CAP_CHOWN"}, {"amd64", "CAP_SYS_ADMIN"}} {
		if got, err := Filter(poddir.SeccompDefault, []string{other[1]}, other[0], dir); err != nil || bytes.Equal(got, first) {
			t.Errorf("%v: %v", other, err)
		}
	}
	if b, err := Filter(poddir.SeccompDefault, nil, "amd64", "/proc/none"); err != nil || len(b) == 0 {
		t.Errorf("no cache: %v", err)
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func TestProfileVersion(t *testing.T) {
	mod, err := os.ReadFile("../../../../go.mod")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("not in the tree")
	}
	if err != nil || !strings.Contains(string(mod), profileVersion) {
		t.Errorf("go.mod does not have %s: change profileVersion with it (%v)", profileVersion, err)
	}
}

// TestInstalled loads the filter into a real process.
func TestInstalled(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

// child installs the filter and makes calls. It exits with 0 when each answers as it should.
func child(dir string) {
	die := func(format string, args ...any) {
		fmt.Printf(format+"\n", args...)
		os.Exit(1)
	}
	prog, err := Filter(poddir.SeccompDefault, defaultCaps(), runtime.GOARCH, dir)
	if err != nil {
		die("%v", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(prog) / InsnSize), Filter: (*unix.SockFilter)(unsafe.Pointer(&prog[0]))}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		die("no_new_privs: %v", err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog))); e != 0 {
		die("seccomp: %v", e)
	}
	bad := 0
	for _, tc := range []struct {
		what string
		nr   uintptr
		args [3]uintptr
		want unix.Errno
	}{
		{"getpid", unix.SYS_GETPID, [3]uintptr{}, 0},
		{"mount", unix.SYS_MOUNT, [3]uintptr{}, unix.EPERM},
		{"unshare", unix.SYS_UNSHARE, [3]uintptr{unix.CLONE_NEWUSER}, unix.EPERM},
		{"keyctl", unix.SYS_KEYCTL, [3]uintptr{}, unix.EPERM},
		{"bpf", unix.SYS_BPF, [3]uintptr{}, unix.EPERM},
		{"clone3", unix.SYS_CLONE3, [3]uintptr{}, unix.ENOSYS},
		{"call 999", 999, [3]uintptr{}, unix.ENOSYS},
		{"socket vsock", unix.SYS_SOCKET, [3]uintptr{unix.AF_VSOCK, unix.SOCK_STREAM}, unix.EPERM},
		{"socket inet", unix.SYS_SOCKET, [3]uintptr{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC}, 0},
		{"personality query", unix.SYS_PERSONALITY, [3]uintptr{0xffffffff}, 0},
		{"personality no randomization", unix.SYS_PERSONALITY, [3]uintptr{addrNoRandomize}, unix.EPERM},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [3]uintptr{}, unix.EPERM},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [3]uintptr{}, unix.EPERM},
	} {
		if _, _, e := unix.Syscall(tc.nr, tc.args[0], tc.args[1], tc.args[2]); e != tc.want {
			fmt.Printf("%s: got %v, want %v\n", tc.what, e, tc.want)
			bad++
		}
	}
	if runtime.GOARCH == "amd64" {
		if _, _, e := unix.Syscall(x32Bit|unix.SYS_GETPID, 0, 0, 0); e != unix.EPERM {
			fmt.Printf("x32 getpid: got %v\n", e)
			bad++
		}
	}
	if out, err := exec.Command("/bin/sh", "-c", "echo child; exit 3").CombinedOutput(); string(out) != "child\n" {
		fmt.Printf("shell: %q, %v\n", out, err)
		bad++
	}
	os.Exit(bad)
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := compile(moby.DefaultProfile(), host{arch: "amd64", caps: defaultCaps()}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCached(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		if _, err := Filter(poddir.SeccompDefault, defaultCaps(), "amd64", dir); err != nil {
			b.Fatal(err)
		}
	}
}
