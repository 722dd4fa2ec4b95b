package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// BenchmarkTrue is the supervisor's share of `rkt run`: from its execve to its exit, of an app that does
// nothing, with cgroups left out.
func BenchmarkTrue(b *testing.B) {
	layer := busybox(b)
	a := app("a", layer, "")
	a.Argv = []string{"/bin/true"}
	p := newPod(b, a)
	for b.Loop() {
		b.StopTimer()
		for _, name := range []string{poddir.AppsDir, poddir.StatusDir, poddir.ReadyFile, poddir.ExitFile} {
			if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
				b.Fatal(err)
			}
		}
		p.prepare()
		b.StartTimer()
		if code := p.launch().wait(); code != 0 {
			b.Fatalf("exit status %d: %s", code, p.stderr.String())
		}
	}
}
