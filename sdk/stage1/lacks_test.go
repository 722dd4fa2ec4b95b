package stage1

import (
	"slices"
	"testing"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestLacks(t *testing.T) {
	dir := t.TempDir()
	pod := poddir.Pod{Schema: poddir.Schema, Apps: []poddir.App{
		{Name: "plain"},
		{Name: "all", Mounts: []poddir.Mount{{Target: "/data"}}, Resources: poddir.Resources{MemoryBytes: 1}, Stdin: poddir.StdinTTY,
			Handlers: []poddir.EventHandler{{Name: "pre-start"}}, ReadOnlyRoot: true},
		{Name: "who", User: "nobody-knows"},
	}}
	if err := poddir.WriteJSON(dir, poddir.PodFile, pod); err != nil {
		t.Fatal(err)
	}
	all := Lacks{Mounts: true, Resources: true, Terminal: true, Handlers: true, ReadOnly: true}
	for _, c := range []struct {
		lacks Lacks
		want  []string
	}{
		{Lacks{}, []string{"apps[2].user"}},
		{Lacks{Mounts: true}, []string{"apps[1].mounts", "apps[2].user"}},
		{all, []string{"apps[1].mounts", "apps[1].resources", "apps[1].stdin", "apps[1].handlers", "apps[1].readOnlyRoot", "apps[2].user"}},
	} {
		ds, err := c.lacks.Validate(dir, "x")
		var got []string
		for _, d := range ds {
			got = append(got, d.Field)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, %v, want %q", c.lacks, got, err, c.want)
		}
	}
	if _, err := all.Validate(t.TempDir(), "x"); err == nil {
		t.Error("a pod without pod.json has no error")
	}
}
