//go:build !reference

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

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
