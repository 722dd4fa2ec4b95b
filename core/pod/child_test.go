package pod

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// The tests run this binary again as other rkt processes: locks and crashes are between processes.
const childEnv = "RKT_TEST_POD_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childEnv)
	if mode == "" {
		os.Exit(m.Run())
	}
	if err := childModes[mode](Open(os.Args[1]), os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var childModes = map[string]func(*Pods, []string) error{
	"hold":    childHold,
	"loop":    childLoop,
	"contend": childContend,
	"adopt":   childAdopt,
}

func child(t *testing.T, dir, mode string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{dir}, args...)...)
	c.Env = append(os.Environ(), childEnv+"="+mode)
	c.Stderr = os.Stderr
	return c
}

// childHold locks a pod, moves it to run/, says so, and keeps it until its standard input ends.
func childHold(pods *Pods, args []string) error {
	p, err := pods.Lock(args[0])
	if err != nil {
		return err
	}
	if err := p.MoveTo(Run); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	_ = err // EOF is the signal
	return p.Close()
}

// childLoop makes, moves and deletes pods for ever, as run --rm would, until it is killed.
func childLoop(pods *Pods, _ []string) error {
	for n := 0; ; n++ {
		p, err := pods.New()
		if err != nil {
			return err
		}
		fill(p)
		steps := [][]Section{{Run, ExitedGarbage}, {Prepared, Run, ExitedGarbage}, {Garbage}}[n%3]
		for _, s := range steps {
			if err := p.MoveTo(s); err != nil {
				return err
			}
		}
		if err := p.Delete(); err != nil {
			return err
		}
		if err := p.Close(); err != nil {
			return err
		}
		if n == 0 {
			fmt.Println("looping")
		}
	}
}

func fill(p *Pod) {
	for _, d := range []string{"status", "apps/a/upper/deep", "net"} {
		os.MkdirAll(filepath.Join(p.Path(), d), 0o750)
	}
	poddir.WriteJSON(p.Path(), poddir.PodFile, poddir.Pod{Schema: 1, UUID: p.UUID, Apps: []poddir.App{{Name: "a"}}})
}

// childContend takes the lock of one pod as often as it is told. Whoever holds it must be alone.
func childContend(pods *Pods, args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	for done := 0; done < times; {
		p, err := pods.Lock(args[0])
		if errors.Is(err, ErrLocked) {
			continue
		}
		if err != nil {
			return err
		}
		mark := filepath.Join(p.Path(), "alone")
		f, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("two processes hold the lock: %w", err)
		}
		f.Close()
		if err := os.Remove(mark); err != nil {
			return err
		}
		if err := p.Close(); err != nil {
			return err
		}
		done++
	}
	return nil
}

// childAdopt takes over descriptor 3, as `rkt finish` does, and ends the pod.
func childAdopt(pods *Pods, args []string) error {
	p, err := pods.Adopt(os.NewFile(3, "lock"), args[0])
	if err != nil {
		return err
	}
	if err := p.MoveTo(ExitedGarbage); err != nil {
		return err
	}
	if err := p.Delete(); err != nil {
		return err
	}
	return p.Close()
}
