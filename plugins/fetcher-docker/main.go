// Command rkt-fetcher-docker fetches images from registries, OCI layouts and image archives. rkt starts it.
package main

import (
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fetch"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// version is set by the linker, as rkt's own; plugin.json shows it.
var version = "2.0.0-dev"

func main() { fetcher.Main(info(), fetch.New(version)) }

func info() fetcher.Info {
	return fetcher.Info{
		Name:    "fetcher-docker",
		Version: version,
		Vendor:  "rkt",
		Schemes: fetch.Schemes(),

		ConfigSchema: fetch.ConfigSchema(),
	}
}
