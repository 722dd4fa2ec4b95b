package fetch

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// childEnv makes this test binary fetch, in a process of its own that can be killed, measured or given to another
// user.
const childEnv = "RKT_TEST_FETCH"

func TestMain(m *testing.M) {
	v := os.Getenv(childEnv)
	if v == "" {
		os.Exit(m.Run())
	}
	var req fetcher.Request
	if err := json.Unmarshal([]byte(v), &req); err != nil {
		panic(err)
	}
	f := New("test")
	f.config.tune.Backoff = time.Millisecond
	res, err := f.Fetch(context.Background(), req, nil)
	fmt.Fprintln(os.Stderr, highWater())
	if err != nil {
		fmt.Printf("%v [%s]\n", err, fault.ReasonOf(err))
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(res)
	os.Exit(0)
}

// highWater is the most memory that this process has held, in KiB. Maxrss would count what the parent held when
// it forked.
func highWater() string {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	value, _, _ := strings.Cut(rest, "kB")
	return strings.TrimSpace(value)
}

// openDir is a directory that other users may enter; t.TempDir's is not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "rkt-fetch-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	return dir
}

func childFetch(t *testing.T, dir string, req fetcher.Request) *exec.Cmd {
	t.Helper()
	exe := filepath.Join(dir, "child")
	if _, err := os.Stat(exe); err != nil {
		self, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, self, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	req.Platform = fetcher.Platform{OS: "linux", Architecture: "amd64"}
	cmd := exec.Command(exe)
	cmd.Dir = dir
	cmd.Env = []string{childEnv + "=" + string(mustJSON(t, req))}
	return cmd
}

// TestKill kills the fetcher at random moments. Whatever it left, no blob may have its name before it is whole, and
// the next attempts must reach the image, going on with the halves.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	img := buildImage(t, amd64, 1, 2<<20, "plain", "plain", "gzip", "plain")
	f := newFaulty(t, img, false)
	f.hook = func(w http.ResponseWriter, r *http.Request) bool {
		d := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		b := img.blobs[d]
		if len(b) < 1<<20 {
			return false
		}
		from, _ := strconv.Atoi(strings.Trim(r.Header.Get("Range"), "bytes=-"))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		for b = b[from:]; len(b) > 0 && r.Context().Err() == nil; { // about 10 MB/s
			n := min(len(b), 64<<10)
			w.Write(b[:n])
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond) // the line is slow; nothing waits for this
			b = b[n:]
		}
		return true
	}
	dir := openDir(t)
	out := dir + "/out"
	os.Mkdir(out, 0o755)
	req := fetcher.Request{Reference: f.ref(), LayoutDir: out, Access: fetcher.Access{AllowHTTP: true}}
	kills := 0
	for range 40 {
		cmd := childFetch(t, dir, req)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rnd.IntN(120))*time.Millisecond, func() { cmd.Process.Signal(syscall.SIGKILL) })
		err := cmd.Wait()
		timer.Stop()
		blobs, _ := filepath.Glob(out + "/blobs/*/*")
		for _, p := range blobs {
			if b, rerr := os.ReadFile(p); !strings.HasSuffix(p, ".partial") && (rerr != nil || string(img.blobs["sha256:"+filepath.Base(p)]) != string(b)) {
				t.Fatalf("%s is not whole: %d bytes, %v", p, len(b), rerr)
			}
		}
		if err == nil {
			break
		}
		kills++
	}
	cmd := childFetch(t, dir, req)
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	var res fetcher.Result
	decode(t, b, &res)
	checkLayout(t, out, res.Image, nil)
	t.Logf("%d kills, %d resumed requests", kills, len(f.requests("bytes=")))
	if kills > 5 && len(f.requests("bytes=")) == 0 {
		t.Error("nothing was ever resumed")
	}
}

// TestMemory: what a fetch holds does not depend on the size of the image.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 500 MB")
	}
	const limit = 64 << 10 // KiB
	dir := openDir(t)
	peak := func(req fetcher.Request) {
		t.Helper()
		req.LayoutDir, _ = os.MkdirTemp(dir, "out")
		cmd := childFetch(t, dir, req)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if b, err := cmd.Output(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		os.RemoveAll(req.LayoutDir)
		rss, err := strconv.Atoi(strings.TrimSpace(stderr.String()))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d KiB", req.Reference, rss)
		if rss > limit {
			t.Errorf("%s: %d KiB, at most %d are allowed", req.Reference, rss, limit)
		}
	}
	img := buildImage(t, amd64, 1, 24<<20, "plain", "gzip", "plain", "gzip")
	f := newFaulty(t, img, false)
	peak(fetcher.Request{Reference: f.ref(), Access: fetcher.Access{AllowHTTP: true}})
	arc := writeTar(t, dir+"/a.tar", dockerSave(t, img, "x:latest")...)
	peak(fetcher.Request{Reference: "docker-archive:" + arc})
	peak(fetcher.Request{Reference: "docker-archive:" + packed(t, arc, "gzip")})
	peak(fetcher.Request{Reference: "docker-archive:" + packed(t, arc, "zstd")})
}
