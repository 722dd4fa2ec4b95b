package stage1_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/stage1"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// bare runs each app as it is, on the host's own files. Base answers Run with "execute this binary as the
// supervisor", and Stop; Command makes the binary one. Its main is one line:
//
//	stage1.Main(stage1.Info{Name: "stage1-bare", Version: "1.0.0"}, bare{})
type bare struct{ stage1.Base }

// Validate refuses what the flavor cannot do, field by field, before anything starts.
func (bare) Validate(_ context.Context, podDir string) (ds []plugin.Diagnostic, err error) {
	var pod poddir.Pod
	if err := poddir.ReadJSON(podDir, poddir.PodFile, &pod); err != nil {
		return nil, err
	}
	for i, app := range pod.Apps {
		if app.Resources.MemoryBytes > 0 {
			ds = append(ds, plugin.Diagnostic{Severity: plugin.SeverityError,
				Field: fmt.Sprintf("apps[%d].resources.memoryBytes", i), Summary: "bare has no limits"})
		}
	}
	return ds, nil
}

// Command runs in the pod's supervisor.
func (bare) Command(_ *supervise.Pod, app *poddir.App, _ string) (*exec.Cmd, error) {
	return exec.Command(app.Argv[0], app.Argv[1:]...), nil
}

func Example() {
	pod, err := os.MkdirTemp("", "pod-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(pod)
	if err := poddir.WriteJSON(pod, poddir.PodFile, poddir.Pod{Schema: poddir.Schema, Apps: []poddir.App{
		{Name: "web", Argv: []string{"httpd"}},
		{Name: "db", Argv: []string{"postgres"}, Resources: poddir.Resources{MemoryBytes: 1 << 30}},
	}}); err != nil {
		log.Fatal(err)
	}
	said, err := bare{}.Validate(context.Background(), pod)
	fmt.Println(said, err)
	plan, err := bare{}.Run(context.Background(), stage1.RunRequest{PodDir: pod, Netns: -1})
	fmt.Println(plan.Args, plan.KeepFDs, err)
	// Output:
	// [{1 bare has no limits  apps[1].resources.memoryBytes}] <nil>
	// [supervise] [lock] <nil>
}

// What an implementation can do is found out, never claimed.
func ExampleManifest() {
	m := stage1.Manifest(stage1.Info{Name: "stage1-bare", Version: "1.0.0"}, bare{})
	fmt.Println(m.Provides[0].Flavor, m.Provides[0].Capabilities)
	// Output: bare [stop]
}
