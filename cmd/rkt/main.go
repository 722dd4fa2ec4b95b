package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

// version is set by the linker.
var version = "2.0.0-dev"

func main() {
	// The store runs this executable again, confined, to unpack one layer. That comes before everything else:
	// such a process must not read configuration or see flags.
	if len(os.Args) > 1 && os.Args[1] == unpack.Verb {
		os.Exit(unpack.Main(os.Args[2:]))
	}
	if err := execute.SealDescriptors(); err != nil {
		fmt.Fprintf(os.Stderr, "rkt: %v\n", err)
		os.Exit(exitOther)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	cobra.EnablePrefixMatching = true // any unique prefix of a command names it
	return (&app{stdout: os.Stdout, stderr: os.Stderr}).main(ctx, args)
}

// main runs one verb and returns the exit status.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.command()
	a.hidden(root, args)
	root.SetArgs(args)
	root.SetOut(a.stdout)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.status
	}
	var shown *shownError
	if !errors.As(err, &shown) {
		fmt.Fprintf(a.stderr, "%s: %s\n", commandName(cmd), quoteControl(err.Error()))
	}
	return exitCode(err)
}

// commandName is what an error is prefixed with: the verb, as in "run: ...".
func commandName(cmd *cobra.Command) string {
	if cmd == nil || !cmd.HasParent() {
		return "rkt"
	}
	return cmd.Name()
}
