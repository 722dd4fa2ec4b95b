// Command rkt-broken is the deliberately broken plugins that the kit is tested with.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/broken"
)

func main() { os.Exit(broken.Main(os.Args)) }
