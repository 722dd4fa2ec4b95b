package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statusLost is the exit status when the guest ended without one of its own.
const statusLost = 125

// extra is what a suite wants in its guest that the others do without. It has images of its own.
type extra struct {
	packages []string
	kernels  []string // Debian's metapackages of kernels for machines inside the guest
}

type options struct {
	root    string // of the repository
	cache   string
	rebuild bool
	boot    time.Duration
	timeout time.Duration
	memory  int
	cpus    int
	extra   extra
	env     []string
	files   []string // NAME=PATH
	command []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	code, err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (int, error) {
	root, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	o := options{root: root}
	fl := flag.NewFlagSet("guest", flag.ContinueOnError)
	fl.StringVar(&o.cache, "cache", filepath.Join(root, ".cache", "guest"), "directory for images")
	fl.BoolVar(&o.rebuild, "rebuild", false, "make the images anew")
	fl.DurationVar(&o.boot, "boot-timeout", 10*time.Minute, "how long the guest may take to start the command")
	fl.DurationVar(&o.timeout, "timeout", 60*time.Minute, "how long the command may take")
	fl.IntVar(&o.memory, "memory", 2048, "the guest's memory in MiB")
	fl.IntVar(&o.cpus, "cpus", 2, "the guest's processors")
	fl.Func("e", "KEY=VALUE for the command's environment; may be given again", func(s string) error {
		if !strings.Contains(s, "=") {
			return errors.New("want KEY=VALUE")
		}
		o.env = append(o.env, s)
		return nil
	})
	fl.Func("package", "a Debian package to have in the guest as well; may be given again", func(s string) error {
		o.extra.packages = append(o.extra.packages, s)
		return nil
	})
	fl.Func("kernel", "a Debian kernel to have in the guest's /boot, such as linux-image-amd64; may be given again", func(s string) error {
		o.extra.kernels = append(o.extra.kernels, s)
		return nil
	})
	fl.Func("file", "NAME=PATH of a file to have as /guest/out/files/NAME; may be given again", func(s string) error {
		if name, path, ok := strings.Cut(s, "="); !ok || path == "" || name != filepath.Base(name) {
			return errors.New("want NAME=PATH")
		}
		o.files = append(o.files, s)
		return nil
	})
	if err := fl.Parse(args); err != nil {
		return 2, err
	}
	o.command = fl.Args()

	if err := prerequisites(); err != nil {
		return 0, err
	}
	img, err := prepare(ctx, o)
	if err != nil || len(o.command) == 0 {
		return 0, err
	}
	for try := 1; ; try++ {
		code, err := boot(ctx, o, img)
		if !errors.Is(err, errNoStart) || try == 2 || ctx.Err() != nil {
			return code, err
		}
		fmt.Fprintf(os.Stderr, "guest: %v; once more\n", err)
	}
}
