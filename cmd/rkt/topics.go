package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rkt/rkt/v2/core/config"
)

// topics are pages of help that are no verbs. Like what rkt runs itself they are there when named in full, so
// that a prefix never means one.
func topics() []*cobra.Command {
	return []*cobra.Command{exitCodesTopic(), environmentTopic()}
}

func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString(`rkt run and run-prepared exit with the status of the pod, which is that of its first app that failed, or 0.
It is 128+N for an app that signal N ended, 127 when its program was not found, 126 when it could not be executed.
rkt enter exits likewise with the status of its command. When rkt itself fails, the status is one of these:

`)
	for _, r := range exitRows() {
		lines := r.when
		for _, known := range r.reasons {
			lines = append(lines, string(known))
		}
		fmt.Fprintf(&b, "  %3d  %s\n", r.code, strings.Join(lines, "\n       "))
	}
	b.WriteString(`
The words in capitals are reasons of plugins. They end the error's line, as in [IMAGE_NOT_FOUND].`)
	return &cobra.Command{Use: "exit-codes", Short: "exit statuses of rkt", Long: b.String()}
}

func environmentTopic() *cobra.Command {
	return &cobra.Command{Use: "environment", Short: "variables that rkt reads", Long: `A flag is stronger than its variable, and a variable than rkt.toml:

  RKT_DIR            --dir: data, images and pods (` + config.DefaultDir + `)
  RKT_LOCAL_CONFIG   --local-config: the administrator's configuration (` + config.DefaultLocalConfig + `)
  RKT_SYSTEM_CONFIG  --system-config: the vendor's configuration (` + config.DefaultSystemConfig + `)
  RKT_STAGE1         --stage1: the flavor of pods
  RKT_PLUGIN_PATH    --plugin-dir: directories of plugins, searched first, with colons between them (as root only with
                     --insecure-options=plugin)
  RKT_GREASE         1: tell plugins what they cannot know, to test that they ignore it

Plugins are searched in /etc/rkt/plugins.d whatever the configuration's directory is: what root runs does not hang on a
variable. HTTP_PROXY, HTTPS_PROXY, NO_PROXY and ALL_PROXY pass to fetchers; NOTIFY_SOCKET, LISTEN_FDS and TERM to the pod.`}
}

// documented is the command tree with every page that the reference has.
func documented() *cobra.Command {
	a := &app{stdout: io.Discard, stderr: io.Discard}
	root := a.command()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.AddCommand(topics()...)
	return root
}
