package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"runtime"
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
	c := newFlavor(t, "terminal-"+flavor, flavor)
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

// TestTrustAtTerminal: the key that a name's server offers is shown to whoever is at the terminal, and counts once it
// was agreed to.
func TestTrustAtTerminal(t *testing.T) {
	gpg := t.TempDir()
	served := t.TempDir()
	script := `set -e; umask 077; export GNUPGHOME=$1; cd $2
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key 'Release <release@example.com>' ed25519 sign never
gpg --batch --armor --export release@example.com > pubkey.asc
mkdir -p aci/rootfs; cat > aci/manifest; tar -C aci -czf app-1.0.aci manifest rootfs
gpg --batch --quiet --armor --output app-1.0.aci.asc --detach-sign app-1.0.aci; gpgconf --kill all`
	arch := map[string]string{"amd64": "amd64", "arm64": "aarch64"}[runtime.GOARCH]
	build := exec.Command("sh", "-c", script, "sh", gpg, served)
	build.Stdin = strings.NewReader(`{"acKind": "ImageManifest", "acVersion": "0.8.11", "name": "127.0.0.1/app", "labels": [
		{"name": "version", "value": "1.0"}, {"name": "os", "value": "linux"}, {"name": "arch", "value": "` + arch + `"}]}`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr, stop, err := discovery(served)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := newCrash(t, "terminal-trust", 0)
	fetch := func(answer, want string) int {
		cmd := c.command("--insecure-options=http,pubkey", "fetch", "aci://"+addr+"/app:1.0")
		tty, err := pty.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		defer tty.Close()
		if answer != "" {
			out := expect(t, tty, "[yes/no]", "")
			if !strings.Contains(out, "Release <release@example.com>") || !strings.Contains(out, `images below "127.0.0.1`) {
				t.Errorf("shown for review:\n%s", out)
			}
			answer += "\n"
		}
		expect(t, tty, want, answer)
		go io.Copy(io.Discard, tty)
		cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	if code := fetch("no", "no key is trusted"); code != 76 {
		t.Errorf("exit status %d without agreement, want 76", code)
	}
	if code := fetch("yes", "sha256-"); code != 0 {
		t.Errorf("exit status %d after agreement", code)
	}
	if code := fetch("", "sha256-"); code != 0 {
		t.Errorf("exit status %d of the second fetch, which has nothing to ask", code)
	}
}
