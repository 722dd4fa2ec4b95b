package main

import (
	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/proto/poddir"
)

func (a *app) updateCmd() *cobra.Command {
	var name, uuidFile string
	var r poddir.Resources
	c := &cobra.Command{
		Use:   "update [FLAGS] UUID",
		Short: "change limits of a running app",
		Long: `Change the memory and CPU limits of an app while it runs, all that are given or none. A memory limit below what
the app uses takes caches from it, and is refused when that is not enough. Pods in virtual machines: the machine
grows where it can (docs/vm.md). status, list and cat-manifest show what is in force.`,
		Example: `  rkt update --memory=256Mi --cpu=1.5 5bc08f95
  rkt update --app=web --cpu-shares=512 --uuid-file=/run/web.uuid`,
	}
	f := c.Flags()
	f.StringVar(&name, "app", "", "`name` of the app, when the pod has several")
	f.Var(parsed(&r.MemoryBytes, engine.ParseBytes), "memory", "memory `limit` (512Mi)")
	f.Var(parsed(&r.CPUMillis, engine.ParseMillis), "cpu", "CPU `limit` (500m, 1.5)")
	f.Var(parsed(&r.CPUShares, parseShares), "cpu-shares", "relative `weight` of CPU time (2..262144)")
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := podArg(args, uuidFile)
		if err != nil {
			return err
		}
		if r == (poddir.Resources{}) {
			return usagef("nothing to change: give --memory, --cpu or --cpu-shares")
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		return a.printID(e.Update(cmd.Context(), id, name, r))
	}
	return c
}
