// Command rkt-conformance tests a plugin of rkt against the contract. docs/conformance.md explains levels and checks.
//
// It exits with 0 when every check passed or was skipped, 1 when one failed, 2 when it was used wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/testapp"
)

const (
	exitPassed = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// A copy of this file is the program in the kit's pods.
	if filepath.Base(os.Args[0]) == testapp.Name {
		os.Exit(testapp.Main(os.Args[1:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type command struct {
	plugin  conformance.Plugin
	options conformance.Options
	format  string
	list    bool
	verbose bool
}

func parse(args []string, stderr io.Writer) (*command, error) {
	c := &command{options: conformance.Options{App: "/proc/self/exe"}}
	fs := flag.NewFlagSet("rkt-conformance", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var refs, missing, only, networks list
	fs.StringVar(&c.plugin.Dir, "plugin", "", "the plugin's `directory`")
	level := fs.String("level", "protocol", "0 static, 1 protocol, 2 lifecycle, 3 isolation; the last two as root")
	fs.StringVar(&c.format, "format", "text", "text, json or junit")
	config := fs.String("config", "", "`file` with a valid configuration of the plugin")
	fs.Var(&refs, "reference", "an image `reference` that the fetcher can fetch; may be given again")
	fs.Var(&missing, "missing", "a `reference` of the same kind that names no image; may be given again")
	fs.BoolVar(&c.options.Unfetched, "unfetched", false, "be content with a fetcher of which nothing can be fetched for want of references")
	fs.BoolVar(&c.plugin.AllowHTTP, "allow-http", false, "plain http is allowed for the references")
	fs.Var(&networks, "network", "`name` of a network to join; may be given again")
	fs.StringVar(&c.plugin.NetConfigs, "net-configs", "", "net.d `directory` of the networks")
	fs.Var(&only, "only", "`ID` of a check, or a prefix that ends in \"-\"; may be given again")
	fs.Uint64Var(&c.options.Seed, "seed", 0, "repeats the random moments of the run that printed it")
	large := fs.Int64("large", 192, "size of the layer that is fetched within that bound, in `MiB`")
	rss := fs.Int64("max-rss", 64, "bound on the plugin's resident memory, in `MiB`")
	fs.BoolVar(&c.list, "list", false, "list the checks up to the level and run nothing")
	fs.BoolVar(&c.verbose, "v", false, "print each result on stderr as it comes")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	var err error
	if c.options.Level, err = conformance.ParseLevel(*level); err != nil {
		return nil, err
	}
	c.plugin.References, c.plugin.Missing, c.options.Only, c.plugin.Networks = refs, missing, only, networks
	c.plugin.MaxRSS, c.options.Large = *rss<<20, *large<<20
	if *config != "" {
		if c.plugin.Config, err = os.ReadFile(*config); err != nil {
			return nil, err
		}
	}
	switch c.format {
	case "text", "json", "junit":
	default:
		return nil, fmt.Errorf("unknown format %q: want text, json or junit", c.format)
	}
	if c.plugin.Dir == "" && !c.list {
		return nil, errors.New("want --plugin DIR, or --list")
	}
	return c, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitPassed
	}
	if err != nil {
		fmt.Fprintf(stderr, "rkt-conformance: %v\n", err)
		return exitUsage
	}
	if c.list {
		return show(stdout, stderr, c.options.Level)
	}
	if c.verbose {
		c.options.Log = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	}
	r, err := conformance.Check(ctx, c.plugin, c.options)
	if err != nil {
		fmt.Fprintf(stderr, "rkt-conformance: %v\n", err)
		return exitUsage
	}
	switch c.format {
	case "json":
		err = r.JSON(stdout)
	case "junit":
		err = r.JUnit(stdout)
	default:
		err = r.Text(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "rkt-conformance: write report: %v\n", err)
		return exitUsage
	}
	if r.Count(conformance.Fail) > 0 {
		return exitFailed
	}
	return exitPassed
}

func show(stdout, stderr io.Writer, level conformance.Level) int {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, c := range conformance.List() {
		if c.Level <= level {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Level, strings.TrimSuffix(c.Service+" "+c.Capability, " "), c.Title)
		}
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintf(stderr, "rkt-conformance: %v\n", err)
		return exitUsage
	}
	return exitPassed
}
