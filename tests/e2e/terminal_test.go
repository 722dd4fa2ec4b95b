package e2e

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestTerminal: --interactive on a terminal gives the app one of its own, with the size of ours, and the exit
// status comes back; without a terminal standard input is a stream.
func TestTerminal(t *testing.T) {
	before := snapshot(t)
	eachFlavor(t, terminal)
	before.compare(t)
}

func terminal(t *testing.T, flavor string) {
	c := newCrash(t, "terminal-"+flavor, 0)
	if err := configureFlavor(flavor, c.data+"-etc"); err != nil {
		t.Fatal(err)
	}
	stage1 := "--stage1=" + flavor
	c.rkt("--insecure-options=http", "fetch", c.image("latest"))

	t.Run("tty", func(t *testing.T) {
		cmd := c.command("run", stage1, "--rm", "--net=none", "--interactive", c.image("latest"), "--exec=/bin/sh")
		tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 77})
		if err != nil {
			t.Fatal(err)
		}
		defer tty.Close()
		out := expect(t, tty, "# ", "")
		// The terminal echoes what is typed, so what is waited for must not be in it.
		out += expect(t, tty, "33 77 tty", "test -t 0 && echo $(stty size) tty\n")
		if err := pty.Setsize(tty, &pty.Winsize{Rows: 44, Cols: 88}); err != nil {
			t.Fatal(err)
		}
		// Into a machine the size has a way of its own, beside what is typed.
		out += expect(t, tty, "resized", "until stty size | grep -q '^44 88$'; do sleep 0.1; done; echo resi''zed\n")
		expect(t, tty, "exit", "exit 5\n")
		go io.Copy(io.Discard, tty)
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
			t.Errorf("exit status: %v, want 5\n%s", err, out)
		}
	})
	t.Run("stream", func(t *testing.T) {
		cmd := c.command("run", stage1, "--rm", "--net=none", "--interactive", c.image("latest"), "--exec=/bin/cat")
		cmd.Stdin = strings.NewReader("through a pipe\n")
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != "through a pipe\n" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("enter", func(t *testing.T) {
		id := strings.TrimSpace(c.rkt("run", stage1, "--detach", "--net=none", c.image("latest"), "--exec=/bin/sleep", "--", "1000"))
		cmd := c.command("enter", id, "/bin/sh")
		tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 21, Cols: 66})
		if err != nil {
			t.Fatal(err)
		}
		defer tty.Close()
		expect(t, tty, "# ", "")
		expect(t, tty, "21 66", "stty size\n")
		if err := pty.Setsize(tty, &pty.Winsize{Rows: 34, Cols: 78}); err != nil {
			t.Fatal(err)
		}
		expect(t, tty, "resized", "until stty size | grep -q '^34 78$'; do sleep 0.1; done; echo resi''zed\n")
		expect(t, tty, "exit", "exit 3\n")
		go io.Copy(io.Discard, tty)
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("exit status of enter: %d, want 3", cmd.ProcessState.ExitCode())
		}
		c.rkt("stop", "--force", id)
	})
	c.rkt("gc", "--grace-period=0s")
}

// expect types a line and reads until the text has come.
func expect(t *testing.T, tty *os.File, want, line string) string {
	t.Helper()
	if _, err := io.WriteString(tty, line); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 4096)
		for !strings.Contains(got.String(), want) {
			n, err := tty.Read(buf)
			got.Write(buf[:n])
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("waiting for %q: %v; got %q", want, err, got.String())
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("waiting for %q in vain", want)
	}
	return got.String()
}
