// Command rkt-fetcher-aci fetches appc images and converts them to OCI images.
package main

import (
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/convert"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/images"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

var version = "2.0.0-dev"

func main() {
	fetcher.Main(fetcher.Info{
		Name:       "fetcher-aci",
		Version:    version,
		Vendor:     "rkt",
		Schemes:    images.Schemes(),
		MediaTypes: []string{convert.MediaType},
	}, images.Fetcher{Version: version})
}
