// Command rkt-conformance-app is the program in the pods of the kit, for Go tests; the command rkt-conformance has it
// built in.
package main

import (
	"os"

	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

func main() { os.Exit(testapp.Main(os.Args[1:])) }
