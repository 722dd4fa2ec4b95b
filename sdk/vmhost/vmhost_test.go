package vmhost

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestParseConfig(t *testing.T) {
	for _, c := range []struct{ in, err string }{
		{"", ""},
		{`{}`, ""},
		{`{"accel":"tcg","memoryMin":"512Mi","diskSize":1073741824,"cpus":2}`, ""},
		{`{"accel":"hvf"}`, `accel is "hvf"`},
		{`{"acell":"tcg"}`, "acell"},
		{`{"kernel":"vmlinuz"}`, "no absolute path"},
		{`{"modules":"/lib/modules/1"}`, "without a kernel"},
		{`{"memoryMin":"512 MB"}`, "is no size"},
		{`{"memoryMin":-1}`, "is no size"},
		{`{"diskSize":"1Mi"}`, "at least 64"},
		{`{"kernelArgs":"a\nb"}`, "line break"},
		{`{} {}`, "follows"},
		{`[`, ""},
	} {
		cfg, err := ParseConfig([]byte(c.in))
		if c.in == "[" {
			if err == nil {
				t.Error("damaged JSON is taken")
			}
			continue
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("ParseConfig(%s): %v, want %q", c.in, err, c.err)
		}
		if err == nil && (cfg.Accel == "" || cfg.MemoryMin == 0 || cfg.BootSeconds == 0 || cfg.DiskSize == 0) {
			t.Errorf("ParseConfig(%s) leaves something without a default: %+v", c.in, cfg)
		}
	}
}

func TestSizeOf(t *testing.T) {
	def, err := ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	app := func(memory, millis int64) poddir.App {
		return poddir.App{Resources: poddir.Resources{MemoryBytes: memory, CPUMillis: millis}}
	}
	for _, c := range []struct {
		name     string
		apps     []poddir.App
		emulated bool
		want     Size
	}{
		{"one app, no limit", []poddir.App{app(0, 0)}, false, Size{256, 1}},
		{"three apps, one limit", []poddir.App{app(0, 0), app(512*mib, 0), app(0, 0)}, false, Size{128 + 128 + 512 + 128, 1}},
		{"a small limit", []poddir.App{app(1, 100)}, false, Size{256, 1}},
		{"rounded up", []poddir.App{app(200*mib+1, 1500), app(200*mib, 600)}, false, Size{529, 3}},
		{"more than the host", []poddir.App{app(0, 64_000)}, false, Size{256, 8}},
		{"emulated", []poddir.App{app(0, 4000)}, true, Size{256, 1}},
	} {
		if got := SizeOf(&def, &poddir.Pod{Apps: c.apps}, 8, c.emulated); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	huge := &poddir.Pod{Apps: []poddir.App{app(math.MaxInt64, math.MaxInt64), app(math.MaxInt64, math.MaxInt64)}}
	if got := SizeOf(&def, huge, 8, false); got.MemoryMiB < 1<<40 || got.CPUs != 8 {
		t.Errorf("absurd limits make %+v", got)
	}
}

func TestUser(t *testing.T) {
	a, b := (&Machine{UUID: "a"}).User(), (&Machine{UUID: "b"}).User()
	if a == b || a < userBase || a >= math.MaxInt32 || b < userBase {
		t.Errorf("users %d and %d", a, b)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"accel":"auto","memoryMin":"1Gi"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseConfig(b)
		if err == nil {
			SizeOf(&c, &poddir.Pod{Apps: make([]poddir.App, 3)}, 4, false)
		}
	})
}

// TestMachineFile: it comes back as it was, and is root's alone.
func TestMachineFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, poddir.Stage1Dir), 0o750); err != nil {
		t.Fatal(err)
	}
	m := &Machine{Schema: Schema, UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Accel: TCG, Disks: []Disk{{Path: "a", Serial: "layer0"}}}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, MachineFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	got, err := ReadMachine(dir)
	if err != nil || got.UUID != m.UUID || len(got.Disks) != 1 || got.User() != m.User() {
		t.Errorf("%+v, %v", got, err)
	}
	m.Schema++
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMachine(dir); err == nil {
		t.Error("another schema is read")
	}
}
