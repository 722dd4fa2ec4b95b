package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/proto/launch"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print versions",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(a.stdout, "rkt Version: %s\nPlugin Protocol: %d\nGo Version: %s\nGo OS/Arch: %s/%s\n",
				version, launch.Protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
