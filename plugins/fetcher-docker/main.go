// Command rkt-fetcher-docker fetches images from registries, OCI layouts and image archives. rkt starts it.
package main

import (
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fetch"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// version is the plugin's own; plugin.json shows it.
const version = "2.0.0"

func main() { fetcher.Main(info(), fetch.New(version)) }

func info() fetcher.Info {
	return fetcher.Info{
		Name:    "fetcher-docker",
		Version: version,
		Vendor:  "rkt",
		Schemes: fetch.Schemes(),
	}
}
