package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// What the flavor tests are told by their environment.
const (
	envFlavors   = "RKT_TEST_FLAVORS"       // which; default "linux qemu lkvm"; all but linux are skipped without a kernel
	envKernel    = "RKT_TEST_VM_KERNEL"     // a Debian kernel for guests; `make e2e` downloads one (tests/vmkernel)
	envModules   = "RKT_TEST_VM_MODULES"    // its module directory
	env9PKernel  = "RKT_TEST_VM_9P_KERNEL"  // one with 9p, for lkvm
	env9PModules = "RKT_TEST_VM_9P_MODULES" // its module directory
	envAccel     = "RKT_TEST_VM_ACCEL"      // "kvm" where it really works (tests/guest); default "tcg"
	envMachine   = "RKT_TEST_VM_MACHINE"    // QEMU's machine type; default rkt's own choice
	envArgs      = "RKT_TEST_VM_ARGS"       // more arguments for the guest's kernel
	envLkvm      = "RKT_TEST_LKVM"          // a kvmtool binary; without it, the plugin is one with QEMU in kvmtool's place
)

// TestFlavors runs the scripts of testdata/flavor on each stage1: the same pod, the same flags, the same result. What
// is different on purpose stands below a condition [flavor:NAME] in the script, with the reason.
func TestFlavors(t *testing.T) {
	before := snapshot(t)
	eachFlavor(t, func(t *testing.T, flavor string) {
		testscript.Run(t, testscript.Params{
			Dir:                 "testdata/flavor",
			RequireExplicitExec: true,
			WorkdirRoot:         workRoot(t, flavor),
			Setup:               func(env *testscript.Env) error { return setupFlavor(env, flavor) },
			Cmds:                commands(),
			Condition: func(cond string) (bool, error) {
				name, _ := strings.CutPrefix(cond, "flavor:")
				return slices.Contains(strings.Split(name, ","), flavor), nil
			},
		})
	})
	before.compare(t)
}

func eachFlavor(t *testing.T, f func(t *testing.T, flavor string)) {
	list := strings.Fields(os.Getenv(envFlavors))
	if len(list) == 0 {
		list = []string{"linux", "qemu", "lkvm"}
	}
	for _, flavor := range list {
		t.Run(flavor, func(t *testing.T) {
			if kernel, _ := guestKernel(flavor); flavor != "linux" && kernel == "" {
				t.Skipf("the environment names no kernel for the guest: run make e2e")
			}
			f(t, flavor)
		})
	}
}

// setupFlavor is setup with $STAGE1, the flag, and the flavor's own configuration.
func setupFlavor(env *testscript.Env, flavor string) error {
	if err := setup(env); err != nil {
		return err
	}
	bin, err := binOf(flavor)
	if err != nil {
		return err
	}
	env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
	port, err := freePort()
	if err != nil {
		return err
	}
	env.Setenv("PORT", port)
	env.Setenv("FLAVOR", flavor)
	env.Setenv("STAGE1", "--stage1="+flavor)
	return configureFlavor(flavor, filepath.Join(env.WorkDir, "etc"))
}

// newFlavor is an rkt that runs pods of the flavor.
func newFlavor(t *testing.T, name, flavor string) *crash {
	t.Helper()
	c := newCrash(t, name, 0)
	bin, err := binOf(flavor)
	if err == nil {
		err = configureFlavor(flavor, c.data+"-etc")
	}
	if err != nil {
		t.Fatal(err)
	}
	c.bin = bin
	return c
}

// guestKernel is the kernel for machines of the flavor, and its modules.
func guestKernel(flavor string) (kernel, modules string) {
	if flavor == "lkvm" {
		return os.Getenv(env9PKernel), os.Getenv(env9PModules)
	}
	return os.Getenv(envKernel), os.Getenv(envModules)
}

// configureFlavor writes the flavor's own configuration below a local configuration directory.
func configureFlavor(flavor, etc string) error {
	if flavor == "linux" {
		return nil
	}
	kernel, modules := guestKernel(flavor)
	conf := map[string]any{
		"kernel": kernel, "modules": modules,
		"bootSeconds": 600, // slow is no failure, and where KVM itself is emulated a minute is not much
	}
	if args := os.Getenv(envArgs); args != "" {
		conf["kernelArgs"] = args
	}
	if flavor == "qemu" {
		conf["accel"] = "tcg"
		if accel := os.Getenv(envAccel); accel != "" {
			conf["accel"] = accel
		}
		if machine := os.Getenv(envMachine); machine != "" {
			conf["machine"] = machine
		}
	}
	if lkvm := os.Getenv(envLkvm); flavor == "lkvm" && lkvm != "" {
		conf["program"] = lkvm
	} else if flavor == "lkvm" {
		conf["accel"], conf["program"] = "tcg", filepath.Join(shared.programs, "lkvm")
	}
	b, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(etc, "plugins"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "plugins", "stage1-"+flavor+".json"), b, 0o644)
}

// binOf is the directory of the rkt that has the flavor: the built one, or, for lkvm without a kvmtool, a copy with
// the plugin that has QEMU in kvmtool's place.
func binOf(flavor string) (string, error) {
	if flavor != "lkvm" || os.Getenv(envLkvm) != "" {
		return shared.bin, nil
	}
	return emulatedBin()
}

var emulatedBin = sync.OnceValues(func() (string, error) {
	dist := filepath.Join(shared.work, "emulated")
	plugin := filepath.Join(dist, "lib/rkt/plugins/stage1-lkvm")
	_, err := tool("sh", "-ec", `mkdir "$2"; cp -r "$1/bin" "$1/lib" "$2/"; rm -r "$3"; cp -r "$4" "$3"`, "copy",
		filepath.Dir(shared.bin), dist, plugin, filepath.Join(shared.programs, "stage1-lkvm"))
	return filepath.Join(dist, "bin"), err
})

// freePort is one that nobody has just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
