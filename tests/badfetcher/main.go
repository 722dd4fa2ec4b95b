// Command badfetcher is a fetcher that was taken over by who it fetched from. bad://DEED says what it does: it keeps to
// the protocol, and to nothing else. The end-to-end tests see that it harms nobody.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "stay" {
		select {}
	}
	fetcher.Main(fetcher.Info{Name: "fetcher-bad", Version: "1.0.0", Schemes: []string{"bad"}}, &bad{})
}

type bad struct{ cache string }

func (b *bad) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	b.cache = c.CacheDir
	return nil, nil
}

func (b *bad) Fetch(_ context.Context, req fetcher.Request, _ *fetcher.Progress) (fetcher.Result, error) {
	deed, arg, _ := strings.Cut(strings.TrimPrefix(req.Reference, "bad://"), "/")
	switch deed {
	case "fill":
		return fetcher.Result{}, fill(req.LayoutDir)
	case "cache": // which nobody removes after a fetch
		return fetcher.Result{}, fill(b.cache)
	case "inodes":
		for i := 0; ; i++ {
			if err := os.WriteFile(filepath.Join(req.LayoutDir, fmt.Sprint(i)), nil, 0o600); err != nil {
				return fetcher.Result{}, err
			}
		}
	case "log":
		line := strings.Repeat("x", 1000)
		for range 200_000 {
			fmt.Fprintln(os.Stderr, line)
		}
		panic("that was that")
	case "hang": // and does not hear that nobody waits for it
		select {}
	case "stay":
		return fetcher.Result{}, stay()
	case "write":
		return fetcher.Result{}, os.WriteFile("/"+arg, []byte("bad"), 0o644)
	case "read":
		b, err := os.ReadFile("/" + arg)
		return fetcher.Result{}, fmt.Errorf("read %d bytes: %v", len(b), err)
	}
	return fetcher.Result{}, fetcher.ReferenceInvalid("%s", req.Reference)
}

func fill(dir string) error {
	f, err := os.Create(filepath.Join(dir, "endless"))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	for {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
}

// stay leaves a daemon behind, in a session of its own.
func stay() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "stay")
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return fmt.Errorf("left %d behind", cmd.Process.Pid)
}
