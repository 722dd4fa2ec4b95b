package fetch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// tool skips the test when a program of the host is missing.
func tool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed: apt-get install docker-registry skopeo", name)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// startRegistry runs Debian's docker-registry on loopback and returns its host:port.
func startRegistry(t *testing.T) string {
	t.Helper()
	tool(t, "docker-registry", "skopeo")
	dir := t.TempDir()
	for range 5 { // the free port may be taken before the server binds it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		conf := filepath.Join(dir, "config.yml")
		os.WriteFile(conf, []byte(fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s/data}\nhttp:\n  addr: %s\n", dir, addr)), 0o600)
		cmd := exec.Command("docker-registry", "serve", conf)
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		dead := make(chan struct{})
		go func() { cmd.Wait(); close(dead) }()
		if answers(t, addr, dead) {
			t.Cleanup(func() { cmd.Process.Kill(); <-dead })
			return addr
		}
		cmd.Process.Kill()
		<-dead
	}
	t.Fatal("docker-registry does not answer")
	return ""
}

// answers polls until the server answers or is dead.
func answers(t *testing.T, addr string, dead <-chan struct{}) bool {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if resp, err := http.Get("http://" + addr + "/v2/"); err == nil {
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		}
		select {
		case <-dead:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

// client calls the fetcher as core does.
type client struct {
	t *testing.T
	f *Fetcher
}

func (c client) fetch(ref, dir string, change ...func(*fetcher.Request)) (fetcher.Result, error) {
	req := fetcher.Request{Reference: ref, LayoutDir: dir, Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"},
		Access: fetcher.Access{AllowHTTP: true}}
	for _, f := range change {
		f(&req)
	}
	done := map[string]int64{}
	return c.f.Fetch(c.t.Context(), req, fetcher.NewProgress(func(s fetcher.Step) error {
		if s.Done < done[s.Item] {
			c.t.Errorf("progress of %s falls from %d to %d", s.Item, done[s.Item], s.Done)
		}
		if s.Total > 0 && s.Done > s.Total {
			c.t.Errorf("progress of %s: %d of %d", s.Item, s.Done, s.Total)
		}
		done[s.Item] = s.Done
		return nil
	}))
}

func newClient(t *testing.T) client { return client{t, New("test")} }

// checkLayout walks the layout as core will: every blob that the image reaches is there, except present, and has its
// digest; nothing else is.
func checkLayout(t *testing.T, dir string, img fetcher.Descriptor, present map[string]bool) v1.Manifest {
	t.Helper()
	var idx v1.Index
	readJSON(t, filepath.Join(dir, "index.json"), &idx)
	if len(idx.Manifests) != 1 || string(idx.Manifests[0].Digest) != img.Digest || idx.Manifests[0].Size != img.Size || idx.Manifests[0].MediaType != img.MediaType {
		t.Fatalf("index.json: %+v, image: %+v", idx, img)
	}
	want := map[string]bool{}
	check := func(d v1.Descriptor) []byte {
		want[string(d.Digest)] = true
		b, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(string(d.Digest), ":", "/", 1)))
		if err != nil && present[string(d.Digest)] {
			return nil
		} else if err != nil {
			t.Fatal(err)
		}
		if got := d.Digest.Algorithm().FromBytes(b); got != d.Digest || int64(len(b)) != d.Size {
			t.Fatalf("blob %s: %s, %d of %d bytes", d.Digest, got, len(b), d.Size)
		}
		return b
	}
	var m v1.Manifest
	b := check(idx.Manifests[0])
	if b == nil {
		return m
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	check(m.Config)
	for _, l := range m.Layers {
		check(l)
	}
	blobs, _ := filepath.Glob(filepath.Join(dir, "blobs/*/*"))
	for _, p := range blobs {
		if d := filepath.Base(filepath.Dir(p)) + ":" + filepath.Base(p); !want[d] {
			t.Errorf("left over: %s", p)
		}
	}
	return m
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantReason checks the reason and the words of an error.
func wantReason(t *testing.T, err error, r reason.Reason, words ...string) {
	t.Helper()
	got := fault.ReasonOf(err)
	if got == "" && errors.Is(err, ocilayout.ErrMismatch) { // sdk/fetcher gives it this one
		got = reason.DigestMismatch
	}
	if got != r {
		t.Fatalf("error is %v [%s], want %s", err, got, r)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("control characters in %q", err)
	}
}

// blob is bytes with their descriptor.
func describe(mediaType string, b []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
