package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
)

// gcJSON is what gc did, by the pods' UUIDs.
type gcJSON struct {
	Ended   []string `json:"ended" jsonschema:"found to have ended, and marked"`
	Kept    []string `json:"kept" jsonschema:"ended, within their grace time"`
	Removed []string `json:"removed"`
}

func (a *app) gcCmd() *cobra.Command {
	var o engine.GCOptions
	var form format
	c := &cobra.Command{
		Use:   "gc [FLAGS]",
		Short: "remove pods that have ended, and what killed pods left",
		Long: `Take back addresses, rules and cgroups of pods that have ended, mark them, and remove those that were marked
longer ago than the grace time. Safe to run at any time, as often as wanted, beside other commands.

Copies of plugins (pins/ of the data directory) go when no pod and no line of plugins.lock names them any more, and
nobody has asked for them for ten minutes, whatever --grace-period says: a pod that is being made has a copy before it
names it. Downloads that were broken off go at once, stored images never (rkt image gc).`,
		Args: noArgs,
	}
	c.Flags().DurationVar(&o.Grace, "grace-period", 30*time.Minute, "keep ended pods for this `time`")
	c.Flags().DurationVar(&o.ExpirePrepared, "expire-prepared", 24*time.Hour, "remove prepared pods that were not run for this `time`")
	c.Flags().BoolVar(&o.MarkOnly, "mark-only", false, "mark, remove nothing")
	addFormat(c, &form)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := form.check(); err != nil {
			return err
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		report, err := e.GC(cmd.Context(), o)
		if form != "" {
			return errors.Join(form.print(a.stdout, gcJSON{list(report.Marked), list(report.Kept), list(report.Removed)}), err)
		}
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
