package plan

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestPlanRoundTrip(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, poddir.Stage1Dir), 0o750); err != nil {
		t.Fatal(err)
	}
	one, two := []byte("\n1234567{\n\n\n\n\n\n\x00"), bytes.Repeat([]byte("x\n"), 8)
	p := &Plan{Schema: Schema, Hostname: "h", Volumes: []poddir.Volume{{Name: "v"}}}
	for i, f := range [][]byte{one, two, one, nil} {
		a := App{App: poddir.App{Name: string(rune('a' + i))}, Caps: 1 << 40}
		if f != nil {
			a.Filter = p.AddFilter(f)
		}
		p.Apps = append(p.Apps, a)
	}
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]byte{one, two, one, nil} {
		f, err := got.FilterOf(&got.Apps[i])
		if err != nil || !bytes.Equal(f, want) {
			t.Errorf("filter %d is %q, %v", i, f, err)
		}
	}
	if got.App("b") == nil || got.App("z") != nil || got.Volume("v") == nil || got.Volume("w") != nil || got.Apps[0].Caps != 1<<40 {
		t.Errorf("plan %+v", got)
	}
	got.Apps[0].Filter = Span{Offset: 8, Size: 1 << 40}
	if _, err := got.FilterOf(&got.Apps[0]); err == nil {
		t.Error("a filter beyond the file is accepted")
	}
}

func TestCapabilities(t *testing.T) {
	m, err := CapMask([]string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"})
	if err != nil || m != 1|1<<21|1<<40 {
		t.Errorf("mask %x, %v", m, err)
	}
	if got := CapNames(m); !slices.Equal(got, []string{"CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"}) {
		t.Errorf("names %q", got)
	}
	if _, err := CapMask([]string{"CAP_FLY"}); err == nil {
		t.Error("CAP_FLY is accepted")
	}
}
