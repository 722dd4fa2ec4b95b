package main

import "github.com/spf13/cobra"

func (a *app) prepareCmd() *cobra.Command {
	var prep prepareFlags
	c := withApps(&cobra.Command{
		Use:   "prepare [POD FLAGS] IMAGE [APP FLAGS] [-- ARGS [---]] [IMAGE ...]",
		Short: "make a pod that run-prepared starts later",
		Long:  `Fetch what is missing and make the pod, complete but for its start. Prints its UUID.`,
		Example: `  uuid=$(rkt prepare docker://nginx)
  rkt run-prepared $uuid`,
	})
	prep.add(c.Flags())
	c.RunE = func(cmd *cobra.Command, words []string) error {
		spec, err := prep.build(cmd, words)
		if err != nil {
			return err
		}
		e, err := a.rootEngine()
		if err != nil {
			return err
		}
		return a.printID(e.Prepare(cmd.Context(), spec))
	}
	return c
}
