// Command badplugin misbehaves as the last 16 bytes of its own file say: garbage, crash, hang, flood, newer, choosy. (A
// plugin is pinned before it runs, so a file beside it would not be there.) The end-to-end tests put it in the
// place of a real plugin.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

func main() {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	mode := b[len(b)-16:]
	switch strings.TrimSpace(string(mode)) {
	case "garbage":
		fmt.Println("hello, I am not a handshake")
		time.Sleep(time.Hour)
	case "crash":
		fmt.Fprintln(os.Stderr, "out of cheese")
		os.Exit(3)
	case "hang": // with a child in a session of its own that would outlive it
		if os.Getenv("CHILD") == "" {
			if _, err := os.StartProcess("/proc/self/exe", []string{"badplugin-child"}, &os.ProcAttr{
				Env: []string{"CHILD=1"}, Sys: &syscall.SysProcAttr{Setsid: true},
			}); err != nil {
				panic(err)
			}
		}
		time.Sleep(time.Hour)
	case "flood":
		line := strings.Repeat("x", 1<<16)
		for {
			fmt.Fprintln(os.Stderr, line)
		}
	case "choosy": // does not go on when it meets what it does not know
		if said := os.Getenv("RKT_GREASE_SAYS"); said != "" {
			fmt.Fprintln(os.Stderr, "what is RKT_GREASE_SAYS?")
			os.Exit(3)
		}
		fmt.Fprintln(os.Stderr, "nothing unknown")
		os.Exit(4)
	case "newer":
		fmt.Println("1|7|unix|/nonexistent|grpc|")
		time.Sleep(time.Hour)
	}
}
