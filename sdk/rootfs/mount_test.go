package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/internal/thread"
)

// A root is what its layers make of it, writes go to the pod, and nobody but the thread sees it.
func TestMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts are made by root")
	}
	dir := t.TempDir()
	app := &poddir.App{Name: "a"}
	for i, files := range []map[string]string{{"kept": "lower", "changed": "lower"}, {"changed": "upper"}} {
		layer := filepath.Join(dir, fmt.Sprint("layer,with:odd\\name", i))
		if err := os.Mkdir(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(layer, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		app.Rootfs.Layers = append(app.Rootfs.Layers, layer)
	}
	if err := thread.Run(func() error { return look(dir, app) }); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "apps/a/upper/written")); err != nil || string(b) != "by the app" {
		t.Errorf("what the app wrote: %q, %v", b, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("the host sees the mount, %v", err)
	}
}

func look(dir string, app *poddir.App) error {
	root, err := Mount(dir, app)
	if err != nil {
		return err
	}
	for name, want := range map[string]string{"kept": "lower", "changed": "upper"} {
		if b, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(b) != want {
			return fmt.Errorf("%s is %q, %w", name, b, err)
		}
	}
	return os.WriteFile(filepath.Join(root, "written"), []byte("by the app"), 0o644)
}
