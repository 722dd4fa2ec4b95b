package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	before := snapshot(t)
	t.Run("script", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:                 "testdata/script",
			RequireExplicitExec: true,
			WorkdirRoot:         shared.work,
			Setup:               setup,
			Cmds:                commands(),
			Condition:           condition,
		})
	})
	before.compare(t)
}

// condition [python]: Debian's Python has what a plugin needs.
func condition(cond string) (bool, error) {
	if cond != "python" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	return exec.Command("/usr/bin/python3", "-I", "-c", "import grpc, google.protobuf").Run() == nil, nil
}

// workRoot is where scripts that run more than once have their directories: testscript would give them the former
// run's.
func workRoot(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.work, name+"-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// setup gives a script its own rkt: data, configuration, and the registry's address.
func setup(env *testscript.Env) error {
	for _, d := range []string{env.WorkDir, filepath.Join(env.WorkDir, "etc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	data := filepath.Join(env.WorkDir, "data")
	env.Setenv("PATH", shared.bin+":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	env.Setenv("RKT_DIR", data)
	env.Setenv("RKT_LOCAL_CONFIG", filepath.Join(env.WorkDir, "etc"))
	env.Setenv("RKT_SYSTEM_CONFIG", filepath.Join(env.WorkDir, "lib"))
	env.Setenv("REG", shared.registry)
	env.Setenv("LAYOUT", shared.layout)
	env.Setenv("PROGRAMS", shared.programs)
	env.Setenv("BADPLUGIN", filepath.Join(shared.programs, "badplugin"))
	sources, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	env.Setenv("SOURCES", sources)
	env.Setenv("DIST", filepath.Dir(shared.bin))
	env.Setenv("IMG", "docker://"+shared.registry+"/busybox:latest")
	env.Setenv("HTTP", "--insecure-options=http")
	addr, stop, err := discovery(filepath.Join(env.WorkDir, "served"))
	if err != nil {
		return err
	}
	env.Setenv("APPC", addr)
	// gpg's agent outlives gpg, and the directory: the next script of the same name would find the keys of this one.
	env.Setenv("GNUPGHOME", filepath.Join(env.WorkDir, "gpg"))
	if err := os.Mkdir(filepath.Join(env.WorkDir, "gpg"), 0o700); err != nil {
		return err
	}
	env.Defer(stop)
	env.Defer(func() { cleanup(env) })
	return nil
}

// cleanup ends and removes what a script left, so that one failed script does not fail all others.
func cleanup(env *testscript.Env) {
	rkt := filepath.Join(shared.bin, "rkt")
	vars := append(os.Environ(), env.Vars...)
	for _, id := range running(filepath.Join(env.WorkDir, "data")) {
		runEnv(vars, rkt, "stop", "--force", id)
	}
	runEnv(vars, rkt, "gc", "--grace-period=0s", "--expire-prepared=0s")
	runEnv(vars, "gpgconf", "--kill", "all")
}
