package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/plugin"
)

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print versions",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			majors := strings.Trim(fmt.Sprint(plugin.Majors()), "[]")
			fmt.Fprintf(a.stdout, "rkt Version: %s\nPlugin Protocol: %s\nGo Version: %s\nGo OS/Arch: %s/%s\n",
				version, majors, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
