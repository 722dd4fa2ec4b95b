// Command demo shows what rkt does, on a machine that has nothing but a built rkt and a static busybox: it serves
// an image from a registry on loopback, fetches it, runs it as a pod with a network of its own, lists, and cleans
// up. It is the README's first command.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/tests/layout"
	"github.com/rkt/rkt/v2/tests/registry"
)

func main() {
	rkt := flag.String("rkt", "dist/bin/rkt", "the built rkt")
	flag.Parse()
	if err := demo(*rkt); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func demo(rkt string) error {
	rkt, err := filepath.Abs(rkt)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/var/tmp", "rkt-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	reg, err := serve(filepath.Join(dir, "layout"))
	if err != nil {
		return err
	}
	defer reg.Close()
	d := &shell{rkt: rkt, env: append(os.Environ(), "RKT_DIR="+filepath.Join(dir, "data"))}
	image := "docker://" + reg.Addr() + "/hello"
	defer d.cleanUp()

	d.show("fetch", "--insecure-options=http", image)
	d.show("run", image, "--", "A pod is a plain process.")
	id := strings.TrimSpace(d.show("run", "--detach", "--port=80:18080", image,
		"--name=web", "--exec=/bin/sh", "--", "-c", "echo it works > /tmp/index.html; exec httpd -f -p 80 -h /tmp"))
	d.show("list")
	d.show("image", "list")
	d.showHost("curl", "-s", "http://127.0.0.1:18080/")
	d.show("enter", id, "/bin/ip", "address", "show", "eth0")
	d.show("stop", id)
	d.show("status", id)
	d.show("gc", "--grace-period=0s")
	d.show("list")
	return d.err
}

// serve makes an image of this machine's static busybox and offers it as "hello".
func serve(dir string) (*registry.Registry, error) {
	box, err := exec.LookPath("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w (apt-get install busybox-static)", err)
	}
	w, err := layout.New(dir)
	if err != nil {
		return nil, err
	}
	if err := w.Layer(layout.Busybox(box, []string{"sh", "echo", "ip", "httpd", "sleep", "cat", "ls", "ps"})); err != nil {
		return nil, err
	}
	w.Config = ocispec.ImageConfig{Env: []string{"PATH=/bin"}, Entrypoint: []string{"/bin/echo"}, Cmd: []string{"hello"}}
	if err := w.Close("latest"); err != nil {
		return nil, err
	}
	return registry.Serve(map[string]registry.Image{
		"hello": {Layout: dir, Tag: "latest", Manifest: w.Manifest.Digest, MediaType: w.Manifest.MediaType},
	})
}

// shell runs commands as a user would type them, until one fails.
type shell struct {
	rkt string
	env []string
	err error
}

func (s *shell) show(args ...string) string {
	if s.err != nil {
		return ""
	}
	fmt.Printf("# rkt %s\n", quote(args))
	return s.exec(s.rkt, args)
}

func (s *shell) showHost(name string, args ...string) {
	if s.err == nil {
		fmt.Printf("# %s %s\n", name, quote(args))
		s.exec(name, args)
	}
}

func (s *shell) exec(name string, args []string) string {
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	os.Stdout.Write(out)
	if err != nil {
		s.err = fmt.Errorf("%s %s: %w", filepath.Base(name), quote(args), err)
	}
	return string(out)
}

// cleanUp leaves nothing, also after an error in the middle: quietly, since it says nothing about rkt.
func (s *shell) cleanUp() {
	quiet := func(args ...string) string {
		cmd := exec.Command(s.rkt, args...)
		cmd.Env = s.env
		out, _ := cmd.Output()
		return string(out)
	}
	for _, line := range strings.Split(quiet("list", "--no-legend"), "\n") {
		if f := strings.Fields(line); len(f) > 0 {
			quiet("stop", "--force", f[0])
		}
	}
	quiet("gc", "--grace-period=0s")
}

func quote(args []string) string {
	var out []string
	for _, a := range args {
		if strings.ContainsAny(a, " ;$&|<>") {
			a = "'" + a + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
