package main

import "github.com/spf13/cobra"

func (a *app) runPreparedCmd() *cobra.Command {
	var start startFlags
	var uuidFile string
	c := &cobra.Command{
		Use:   "run-prepared [FLAGS] UUID",
		Short: "run a prepared pod in the foreground",
		Long:  `Start a pod that prepare made. As with run, this process becomes its supervisor.`,
	}
	start.add(c.Flags())
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		prefix, err := podArg(args, uuidFile)
		if err != nil {
			return err
		}
		opts, err := start.build()
		if err != nil {
			return err
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		if !opts.Detached {
			return e.RunPrepared(cmd.Context(), prefix, opts)
		}
		return a.printID(e.Detach(cmd.Context(), prefix, opts))
	}
	return c
}
