package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/plugin"
)

// versionJSON is what version says.
type versionJSON struct {
	Version         string `json:"version" jsonschema:"of rkt, semantic"`
	PluginProtocols []int  `json:"plugin_protocols" jsonschema:"majors of the contract with plugins"`
	Go              string `json:"go_version"`
	OS              string `json:"os"`
	Arch            string `json:"arch"`
}

func (a *app) versionCmd() *cobra.Command {
	var form format
	c := &cobra.Command{
		Use:   "version [FLAGS]",
		Short: "print versions",
		Args:  noArgs,
	}
	addFormat(c, &form)
	c.RunE = func(*cobra.Command, []string) error {
		if err := form.check(); err != nil {
			return err
		}
		v := versionJSON{version, plugin.Majors(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
		if form != "" {
			return form.print(a.stdout, v)
		}
		fmt.Fprintf(a.stdout, "rkt Version: %s\nPlugin Protocol: %s\nGo Version: %s\nGo OS/Arch: %s/%s\n",
			v.Version, strings.Trim(fmt.Sprint(v.PluginProtocols), "[]"), v.Go, v.OS, v.Arch)
		return nil
	}
	return c
}
