package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
)

func (a *app) gcCmd() *cobra.Command {
	var o engine.GCOptions
	c := &cobra.Command{
		Use:   "gc [FLAGS]",
		Short: "remove pods that have ended, and what killed pods left",
		Long: `Take back addresses, rules and cgroups of pods that have ended, mark them, and remove those that were marked
longer ago than the grace time. Safe to run at any time, as often as wanted, beside other commands.`,
		Args: noArgs,
	}
	c.Flags().DurationVar(&o.Grace, "grace-period", 30*time.Minute, "keep ended pods for this `time`")
	c.Flags().DurationVar(&o.ExpirePrepared, "expire-prepared", 24*time.Hour, "remove prepared pods that were not run for this `time`")
	c.Flags().BoolVar(&o.MarkOnly, "mark-only", false, "mark, remove nothing")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		report, err := e.GC(cmd.Context(), o)
		for _, id := range report.Marked {
			fmt.Fprintf(a.stderr, "gc: pod %q has ended\n", id)
		}
		for _, id := range report.Kept {
			fmt.Fprintf(a.stderr, "gc: pod %q is kept for the grace time of %s\n", id, o.Grace)
		}
		for _, id := range report.Removed {
			fmt.Fprintf(a.stderr, "gc: pod %q is removed\n", id)
		}
		return err
	}
	return c
}
