package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/engine"
	"github.com/rkt/rkt/v2/core/pod"
)

func (a *app) logsCmd() *cobra.Command {
	var name, uuidFile string
	var follow bool
	c := &cobra.Command{
		Use:   "logs [FLAGS] UUID",
		Short: "print what a detached pod's app has written",
		Long:  `Print the output of an app of a pod that was started with --detach. Other pods write to their own caller.`,
	}
	c.Flags().StringVar(&name, "app", "", "`name` of the app, when the pod has several")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the pod ends")
	addUUIDFile(c, &uuidFile)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := podArg(args, uuidFile)
		if err != nil {
			return err
		}
		e, err := a.engine()
		if err != nil {
			return err
		}
		path, info, err := e.LogFile(id, name)
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pod %s keeps no logs: it was not started with --detach", info.UUID)
		}
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(a.stdout, f); err != nil || !follow || info.State != pod.StateRunning {
			return err
		}
		return followLog(cmd.Context(), a.stdout, f, e, info.UUID)
	}
	return c
}

// followLog copies as the file grows, until the pod has ended and all of it is copied.
func followLog(ctx context.Context, w io.Writer, f *os.File, e *engine.Engine, id string) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("follow log: %w", err)
	}
	defer watch.Close()
	if err := watch.Add(filepath.Clean(f.Name())); err != nil {
		return fmt.Errorf("follow log: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Pods.Wait(ctx, id) }()
	for {
		// Copy before each wait: what was written before the watch began must not wait for the next write.
		if _, err := io.Copy(w, f); err != nil {
			return err
		}
		select {
		case <-watch.Events:
		case <-watch.Errors: // too many events at once: the copy above catches up
		case err := <-ended:
			if _, cerr := io.Copy(w, f); cerr != nil {
				return cerr
			}
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		}
	}
}
