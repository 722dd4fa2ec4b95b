package poddir_test

import (
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// A supervisor tells of an app by a file that is there whole or not at all.
func ExampleWriteJSON() {
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	pod := poddir.Pod{Schema: poddir.Schema, Hostname: "web", Apps: []poddir.App{{Name: "nginx", Argv: []string{"/bin/nginx"}}}}
	if err := poddir.WriteJSON(dir, poddir.PodFile, pod); err != nil {
		fmt.Println(err)
		return
	}
	var got poddir.Pod
	err = poddir.ReadJSON(dir, poddir.PodFile, &got)
	fmt.Println(got.Hostname, got.Apps[0].Argv, err)
	// Output: web [/bin/nginx] <nil>
}
