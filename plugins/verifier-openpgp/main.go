// Command rkt-verifier-openpgp judges detached OpenPGP signatures over appc images.
package main

import (
	"github.com/rkt/rkt/v2/plugins/verifier-openpgp/internal/aci"
	"github.com/rkt/rkt/v2/sdk/verifier"
)

var version = "2.0.0-dev"

func main() {
	verifier.Main(verifier.Info{
		Name:       "verifier-openpgp",
		Version:    version,
		Vendor:     "rkt",
		MediaTypes: []string{aci.MediaType},
	}, aci.Verifier{})
}
