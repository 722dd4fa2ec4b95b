package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/core/image"
)

// ingestChild is `store.test ingest-child DATA LAYOUT DESCRIPTOR NAME COUNT`: a process that takes an image in,
// removes it again and so on, until it is killed. It says a line when it begins.
func ingestChild(args []string) int {
	s, err := Open(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var d ocispec.Descriptor
	if err := json.Unmarshal([]byte(args[2]), &d); err != nil {
		fmt.Println(err)
		return 1
	}
	count, _ := strconv.Atoi(args[4])
	fmt.Println("begin")
	for i := range count {
		if i > 0 {
			_ = s.Remove("sha256-" + d.Digest.Encoded())
			_, _ = s.GC(context.Background(), func() (InUse, error) { return InUse{}, nil }, -1)
		}
		if _, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: args[1], Image: d, Names: []string{args[3]}}); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

func child(t testing.TB, dataDir string, b *builder, d ocispec.Descriptor, name string, count int) *exec.Cmd {
	t.Helper()
	desc, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "ingest-child", dataDir, b.dir, string(desc), name, strconv.Itoa(count))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func manyFiles(seed, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	var files []file
	for i := range n {
		data := make([]byte, r.IntN(4000))
		for j := range data {
			data[j] = "abcdefgh"[r.IntN(8)]
		}
		files = append(files, file{name: fmt.Sprintf("layer%d/d%d/f%d", seed, i%17, i), data: string(data)})
	}
	return tarOf(files...)
}

func TestConcurrentIngest(t *testing.T) {
	s := openStore(t)
	dataDir := filepath.Dir(s.root)
	b := newBuilder(t)
	d := b.image(manyFiles(1, 300), manyFiles(2, 300), manyFiles(3, 10))
	var wg sync.WaitGroup
	for i := range 6 {
		cmd := child(t, dataDir, b, d, fmt.Sprintf("docker://x:%d", i%3), 1)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		img, err := s.Lookup(ref(t, fmt.Sprintf("docker://x:%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(context.Background(), img.ID); err != nil {
			t.Error(err)
		}
	}
	c, err := s.GC(context.Background(), func() (InUse, error) { return InUse{}, nil }, -1)
	if err != nil || len(c.Layers)+len(c.Blobs)+len(c.Rubbish) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// Processes that take images in, remove them and collect garbage are killed at random moments. At every moment
// what the store shows is whole, the image that nobody touches stays, and gc takes the rest away.
func TestKilledIngest(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	if v := os.Getenv("RKT_TEST_KILLS"); v != "" {
		rounds, _ = strconv.Atoi(v)
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("RKT_TEST_SEED"); v != "" {
		seed, _ = strconv.ParseUint(v, 10, 64)
	}
	t.Logf("RKT_TEST_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))

	s := openStore(t)
	dataDir := filepath.Dir(s.root)
	kb := newBuilder(t)
	shared := manyFiles(7, 60)
	keep := ingest(t, s, kb, kb.image(shared), "docker://keep")
	b := newBuilder(t)
	d := b.image(shared, manyFiles(8, 80), manyFiles(9, 40))
	none := func() (InUse, error) { return InUse{}, nil }
	// How long one takes here, to aim at.
	start := time.Now()
	if out, err := child(t, dataDir, b, d, "docker://victim", 2).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(start)

	seen := 0
	for round := range rounds {
		var procs []*exec.Cmd
		for range 1 + r.IntN(2) {
			cmd := child(t, dataDir, b, d, "docker://victim", 1000)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			procs = append(procs, cmd)
		}
		timer := time.NewTimer(time.Duration(r.Int64N(int64(took))))
		<-timer.C
		for _, p := range procs {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		all, err := s.Images()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, img := range all {
			if _, err := s.Lookup(image.Ref{Scheme: image.ID, Rest: img.ID}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if round%10 == 0 {
				if err := s.Verify(context.Background(), img.ID); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			}
			if img.ID != keep.ID {
				seen++
			}
		}
		if _, err := s.Lookup(ref(t, "keep")); err != nil {
			t.Fatalf("round %d: the untouched image: %v", round, err)
		}
		if _, err := s.Lookup(ref(t, "victim")); err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatalf("round %d: %v", round, err)
		}
		if round%7 == 0 {
			// The unpacker's child may still be on its way out and hold its directory; the end is what counts.
			if _, err := s.GC(context.Background(), none, -1); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	t.Logf("%d rounds, the image was there %d times", rounds, seen)
	_ = s.Remove("sha256-" + d.Digest.Encoded())
	deadline := time.Now().Add(20 * time.Second)
	for {
		if _, err := s.GC(context.Background(), none, -1); err != nil {
			t.Fatal(err)
		}
		left, _ := os.ReadDir(s.path("tmp"))
		layers, _ := os.ReadDir(s.path("layers"))
		if len(left) == 0 && len(layers) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: %v %v", left, layers)
		}
	}
	if err := s.Verify(context.Background(), keep.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.GC(context.Background(), none, 0); err != nil {
		t.Error(err)
	}
	onlySkeleton(t, s)
}

// BenchmarkLayout takes in the image of a layout on disk, for measuring beside other engines: RKT_BENCH_LAYOUT.
func BenchmarkLayout(b *testing.B) {
	dir := os.Getenv("RKT_BENCH_LAYOUT")
	if dir == "" {
		b.Skip("RKT_BENCH_LAYOUT names no layout")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		b.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		s, err := Open(filepath.Join(b.TempDir(), "data"))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: dir, Image: index.Manifests[0]}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIngest is a cold store and 64 MB of files of mixed size, in two layers.
func BenchmarkIngest(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var layers [][]byte
	var total int64
	for l := range 2 {
		var files []file
		var size int
		for i := 0; size < 32<<20; i++ {
			n := r.IntN(20000)
			if i%100 == 0 {
				n = 2 << 20
			}
			data := bytes.Repeat([]byte(strconv.Itoa(r.IntN(1<<30))+" "), n/10+1)
			size += len(data)
			files = append(files, file{name: fmt.Sprintf("usr/l%d/d%d/f%d", l, i/50, i), data: string(data)})
		}
		layers = append(layers, tarOf(files...))
		total += int64(len(layers[l]))
	}
	lb := newBuilder(b)
	d := lb.image(layers...)
	b.SetBytes(total)
	for b.Loop() {
		b.StopTimer()
		s, err := Open(filepath.Join(b.TempDir(), "data"))
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Ingest(context.Background(), IngestRequest{LayoutDir: lb.dir, Image: d}); err != nil {
			b.Fatal(err)
		}
	}
}
