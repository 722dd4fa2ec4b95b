package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/proto/launch"
)

// finishCmd is what a pod's supervisor becomes at the end.
func (a *app) finishCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "finish UUID",
		Short:  "end a pod in order (run by its supervisor)",
		Hidden: true,
		Args:   oneUUID,
		RunE: func(cmd *cobra.Command, args []string) error {
			fds, err := launch.Take()
			if err != nil {
				return err
			}
			e, err := a.engine()
			if err != nil {
				return err
			}
			a.status, err = e.Finish(cmd.Context(), args[0], fds)
			if err != nil { // the pod has ended; its status is what the caller waits for
				fmt.Fprintf(a.stderr, "finish: %s\n", quoteControl(err.Error()))
			}
			return nil
		},
	}
}

// startCmd is the detached half of run --detach: it reads its options from standard input.
func (a *app) startCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "start UUID",
		Short:  "start a prepared pod (run by run --detach)",
		Hidden: true,
		Args:   oneUUID,
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts engine.RunOptions
			if err := json.NewDecoder(os.Stdin).Decode(&opts); err != nil {
				return fmt.Errorf("read options of the start: %w", err)
			}
			e, err := a.engine()
			if err != nil {
				return err
			}
			return e.RunPrepared(cmd.Context(), args[0], opts)
		},
	}
}
