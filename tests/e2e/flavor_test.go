package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// What the flavor tests are told by their environment.
const (
	envFlavors = "RKT_TEST_FLAVORS"    // which; default "linux qemu"; all but linux are skipped without a kernel
	envKernel  = "RKT_TEST_VM_KERNEL"  // a Debian kernel for guests; `make e2e` downloads one (tests/vmkernel)
	envModules = "RKT_TEST_VM_MODULES" // its module directory
	envAccel   = "RKT_TEST_VM_ACCEL"   // "kvm" where it really works (tests/guest); default "tcg"
	envMachine = "RKT_TEST_VM_MACHINE" // QEMU's machine type; default rkt's own choice
	envArgs    = "RKT_TEST_VM_ARGS"    // more arguments for the guest's kernel
	envLkvm    = "RKT_TEST_LKVM"       // a kvmtool binary
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
		list = []string{"linux", "qemu"}
	}
	for _, flavor := range list {
		t.Run(flavor, func(t *testing.T) {
			if flavor != "linux" && os.Getenv(envKernel) == "" {
				t.Skipf("%s names no kernel for the guest: run make e2e", envKernel)
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
	port, err := freePort()
	if err != nil {
		return err
	}
	env.Setenv("PORT", port)
	env.Setenv("FLAVOR", flavor)
	env.Setenv("STAGE1", "--stage1="+flavor)
	return configureFlavor(flavor, filepath.Join(env.WorkDir, "etc"))
}

// configureFlavor writes the flavor's own configuration below a local configuration directory.
func configureFlavor(flavor, etc string) error {
	if flavor == "linux" {
		return nil
	}
	conf := map[string]any{
		"kernel": os.Getenv(envKernel), "modules": os.Getenv(envModules),
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
