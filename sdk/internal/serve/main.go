package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// Registrar is what a generated Register function wants.
type Registrar = grpc.ServiceRegistrar

// Plugin is what a binary serves.
type Plugin struct {
	Manifest manifest.Manifest // Schema and, when empty, Exec are filled in
	Impl     any               // asked for plugin.Configurer and plugin.Prober
	// Register adds the services beside PluginService. fds are the donated descriptors.
	Register func(r Registrar, fds launch.FDs)
	// First are messages of the calls that a start waits for, with one of each message that they hold.
	First []proto.Message
}

// Exit statuses of a plugin's process, sysexits where they fit.
const (
	exitUsage    = 64
	exitSoftware = 70
)

// Main is a plugin's whole life; it does not return. This is the one os.Exit of the sdk: a plugin's main is one
// call, so there is nothing above it to return to.
func Main(p Plugin) {
	os.Exit(Run(p, os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// Run is Main with its surroundings passed in. It returns the exit status.
func Run(p Plugin, args []string, stdin, stdout, stderr *os.File) int {
	p.Manifest.Schema = manifest.Schema
	if p.Manifest.Exec == "" {
		p.Manifest.Exec = "rkt-" + p.Manifest.Name
	}
	if len(args) > 1 {
		if err := check(&p.Manifest); err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", p.Manifest.Exec, err)
			return exitSoftware
		}
		return command(p, args[1:], stdout, stderr)
	}
	if os.Getenv(launch.CookieKey) != launch.CookieValue {
		usage(p, stderr)
		return exitUsage
	}
	return serve(p, stdin, stdout, stderr)
}

// check holds the plugin's own words against the rules by which rkt will read them.
func check(m *manifest.Manifest) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = manifest.Parse(b)
	return err
}

func command(p Plugin, args []string, stdout, stderr io.Writer) int {
	switch args[0] {
	case "manifest":
		b, err := json.MarshalIndent(p.Manifest, "", "  ")
		if err != nil {
			fmt.Fprintf(stderr, "%s: print manifest: %v\n", p.Manifest.Exec, err)
			return exitSoftware
		}
		fmt.Fprintf(stdout, "%s\n", b)
		return 0
	case "version", "--version":
		fmt.Fprintf(stdout, "%s %s\n", p.Manifest.Name, p.Manifest.Version)
		return 0
	case "help", "-h", "--help":
		usage(p, stdout)
		return 0
	}
	fmt.Fprintf(stderr, "%s: unknown argument %q\n", p.Manifest.Exec, args[0])
	usage(p, stderr)
	return exitUsage
}

func usage(p Plugin, w io.Writer) {
	m := p.Manifest
	fmt.Fprintf(w, `%s %s is a plugin of rkt, which starts it when it is needed.
It cannot be used by hand; see "rkt plugin list" and "rkt plugin inspect %s".

  %s manifest   print %s
  %s version    print the version
`, m.Name, m.Version, m.Name, m.Exec, manifest.FileName, m.Exec)
}
