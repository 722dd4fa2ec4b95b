package ociapp_test

import (
	"encoding/json"
	"fmt"

	"github.com/rkt/rkt/v2/proto/ociapp"
)

// What a converter writes beside the OCI config of an image that names its ports and wants a volume.
func ExampleApp() {
	b, err := json.Marshal(ociapp.App{
		Schema: 1, Format: "appc", Name: "example.com/web",
		Ports:       []ociapp.Port{{Name: "http", Protocol: "tcp", Port: 80}},
		MountPoints: []ociapp.MountPoint{{Name: "data", Path: "/data"}},
	})
	fmt.Println(string(b), err)
	// Output: {"schema":1,"format":"appc","name":"example.com/web","ports":[{"name":"http","protocol":"tcp","port":80}],"mountPoints":[{"name":"data","path":"/data"}]} <nil>
}
