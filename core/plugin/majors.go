package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
)

// Core's own code speaks one major of the contract, the newest (launch.Protocol). Each other major that it still
// speaks is an adapter: it sits on the connection and puts core's calls into that major's words. So the four steps
// never ask which major a plugin speaks.
//
// Core speaks N and N-1: pods of the last major may run while rkt is upgraded, with the plugins that are pinned
// for them. A major leaves the table when gc can do without its plugins.
//
// Which one a process speaks is settled like this:
//
//	core    offers, in PLUGIN_PROTOCOL_VERSIONS, what it and the plugin.json of the service in question have in common
//	plugin  takes the greatest that it knows, and names it in the handshake line
//	core    takes it only if it was offered
//
// A plugin that offers services in different majors is thus asked for one that both sides mean.

// adapter makes a connection that is called in core's words out of one to a plugin that speaks a major.
type adapter func(grpc.ClientConnInterface) grpc.ClientConnInterface

// adapters are the majors that this core speaks.
func adapters() map[int]adapter {
	return map[int]adapter{
		launch.Protocol: func(c grpc.ClientConnInterface) grpc.ClientConnInterface { return c },
	}
}

// Majors are the majors of the contract that this rkt speaks, ascending.
func Majors() []int { return sortedKeys(adapters()) }

// Major is the greatest major that a plugin of this kind and this rkt have in common.
func Major(e *Entry, k Kind) (int, error) {
	common, err := common(e, k, Majors())
	if err != nil {
		return 0, err
	}
	return slices.Max(common), nil
}

// common compares versions before anything is run. It returns what is to be offered, ascending, never nothing.
func common(e *Entry, k Kind, ours []int) ([]int, error) {
	p := e.Manifest.Provision(k.Service())
	if p == nil {
		return nil, refuse(e, "it provides no %s", k.Service())
	}
	var out []int
	for _, n := range ours {
		if slices.Contains(p.Protocols, uint32(n)) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		newest := slices.Max(append([]uint32{0}, p.Protocols...))
		return nil, about(e, reason.PluginProtocol, "it speaks protocol %v of %s, this rkt speaks %s (%s)",
			p.Protocols, k.Service(), numbers(ours), advice(int(newest), ours))
	}
	return out, nil
}

// advice says which side to change.
func advice(theirs int, ours []int) string {
	if theirs > slices.Max(ours) {
		return "update rkt, or install an older version of the plugin"
	}
	return "update the plugin"
}

// numbers writes "1" or "1,2".
func numbers(ns []int) string {
	var out []string
	for _, n := range ns {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ",")
}

// offer is go-plugin's environment with its list of versions, which comes in any order, put into ours.
func offer(env []string, majors []int) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, launch.EnvProtocols+"=") })
	return append(out, fmt.Sprintf("%s=%s", launch.EnvProtocols, numbers(majors)))
}

func sortedKeys[V any](m map[int]V) []int {
	var out []int
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// sets is go-plugin's form of the majors.
func sets(majors []int) map[int]plugin.PluginSet {
	out := map[int]plugin.PluginSet{}
	for _, n := range majors {
		out[n] = plugin.PluginSet{}
	}
	return out
}
