package manifest_test

import (
	"fmt"

	"github.com/rkt/rkt/v2/proto/manifest"
)

func ExampleParse() {
	m, err := manifest.Parse([]byte(`{
		"schema": 1, "name": "stage1-foo", "version": "1.0.0", "exec": "rkt-stage1-foo",
		"provides": [{"service": "rkt.stage1", "protocols": [1], "flavor": "foo", "capabilities": ["enter"]}]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Name, m.Provision(manifest.ServiceStage1).Flavor)
	// Output: stage1-foo foo
}
