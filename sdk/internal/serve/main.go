package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	Schema   string            // the JSON schema of its configuration, empty for none
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
		if err := check(&p.Manifest, p.Schema); err != nil {
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
func check(m *manifest.Manifest, schema string) error {
	if schema != "" && !json.Valid([]byte(schema)) {
		return errors.New("the schema of its configuration is no JSON")
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = manifest.Parse(b)
	return err
}

// SchemaName is what plugin.json says of a configuration's schema.
func SchemaName(schema string) string {
	if schema == "" {
		return ""
	}
	return manifest.SchemaFileName
}

func command(p Plugin, args []string, stdout, stderr io.Writer) int {
	switch {
	case args[0] == "manifest" && len(args) <= 2:
		if err := describe(p, args[1:], stdout); err != nil {
			fmt.Fprintf(stderr, "%s: write manifest: %v\n", p.Manifest.Exec, err)
			return exitSoftware
		}
		return 0
	case args[0] == "version", args[0] == "--version":
		fmt.Fprintf(stdout, "%s %s\n", p.Manifest.Name, p.Manifest.Version)
		return 0
	case args[0] == "help", args[0] == "-h", args[0] == "--help":
		usage(p, stdout)
		return 0
	}
	fmt.Fprintf(stderr, "%s: unknown argument %q\n", p.Manifest.Exec, args[len(args)-1])
	usage(p, stderr)
	return exitUsage
}

// describe prints plugin.json or, given a directory, writes into it what belongs beside the binary.
func describe(p Plugin, dir []string, stdout io.Writer) error {
	b, err := json.MarshalIndent(p.Manifest, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if len(dir) == 0 {
		_, err := stdout.Write(b)
		return err
	}
	if err := replace(filepath.Join(dir[0], manifest.FileName), b); err != nil || p.Schema == "" {
		return err
	}
	return replace(filepath.Join(dir[0], manifest.SchemaFileName), []byte(p.Schema))
}

// replace leaves no half a file where a build was interrupted.
func replace(path string, b []byte) error {
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func usage(p Plugin, w io.Writer) {
	m := p.Manifest
	fmt.Fprintf(w, `%s %s is a plugin of rkt, which starts it when it is needed.
It cannot be used by hand; see "rkt plugin list" and "rkt plugin inspect %s".

  %s manifest       print %s
  %s manifest DIR   write it, and the schema of the configuration if there is one, into DIR
  %s version        print the version
`, m.Name, m.Version, m.Name, m.Exec, manifest.FileName, m.Exec, m.Exec)
}
