package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
)

// Root is an app's root, assembled. The descriptors are close-on-exec.
type Root struct {
	Dir    int // the root directory, O_PATH
	Proc   int // its /proc
	Master int // of its terminal, or -1
	Slave  int // of its terminal, or -1
}

// Build assembles the root of one app and makes it the calling thread's root.
func Build(p *plan.Plan, app *plan.App) (*Root, error) {
	dir, err := overlay(p, app)
	if err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	b := &builder{plan: p, app: app, empty: -1, Root: Root{Dir: dir, Proc: -1, Master: -1, Slave: -1}}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"/proc", b.proc},
		{"/sys", b.sys},
		{"/sys/fs/cgroup", b.cgroup},
		{"/dev", b.dev},
		{"/etc", b.identity},
		{"volumes", b.volumes},
		{"working directory", b.workDir},
		{"read-only root", b.readOnly},
	} {
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("make %s: %w", step.what, err)
		}
	}
	if b.empty >= 0 {
		unix.Close(b.empty)
	}
	if err := mnt.Pivot(dir); err != nil {
		return nil, err
	}
	return &b.Root, nil
}

type builder struct {
	Root
	plan  *plan.Plan
	app   *plan.App
	empty int // the tmpfs in front of masked directories, or -1
}

// mount attaches a detached mount at target inside the root and closes it. It returns the target, opened
// on the mount.
func (b *builder) mount(fd int, target string, dir bool) error {
	defer unix.Close(fd)
	at, err := mnt.Ensure(b.Dir, target, dir)
	if err != nil {
		return err
	}
	defer unix.Close(at)
	if err := mnt.Attach(fd, at); err != nil {
		return fmt.Errorf("mount on %s: %w", target, err)
	}
	return nil
}

func (b *builder) workDir() error {
	if b.app.Dir == "" {
		return nil
	}
	fd, err := mnt.Ensure(b.Dir, b.app.Dir, true)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (b *builder) readOnly() error {
	if !b.app.ReadOnlyRoot {
		return nil
	}
	return mnt.Restrict(b.Dir, mnt.ReadOnly, false)
}

func (b *builder) tty() bool { return b.app.Stdin == poddir.StdinTTY }
