package launch_test

import (
	"fmt"

	"github.com/rkt/rkt/v2/proto/launch"
)

// What core gives by name is found by number.
func ExampleParseFDs() {
	fds, err := launch.ParseFDs("lock:3,netns:4")
	fmt.Println(fds[launch.FDLock], fds[launch.FDNetns], err)
	// Output: 3 4 <nil>
}

func ExampleSourcePath() {
	for _, ref := range []string{"oci:/srv/layout:v1", "dir:///srv/image", "docker://busybox"} {
		path, own := launch.SourcePath(ref)
		fmt.Printf("%q %v\n", path, own)
	}
	// Output:
	// "/srv/layout" true
	// "/srv/image" false
	// "" false
}
