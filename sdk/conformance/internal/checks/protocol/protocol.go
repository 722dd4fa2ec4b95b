package protocol

import (
	"context"
	"time"

	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Bounds of time. The contract's own numbers are for a machine with nothing else to do; a check gives up at five
// times of them, so that a loaded one fails no good plugin.
const (
	handshakeLimit = 10 * time.Second
	endLimit       = 5 * time.Second
	answerLimit    = 5 * time.Second
	probeLimit     = 50 * time.Second
)

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(id, title string, run func(context.Context, *suite.Env) error) suite.Check {
		return suite.Check{ID: id, Title: title, Level: suite.Protocol, Run: run}
	}
	return []suite.Check{
		check("PL-START-01", "a handshake line comes in time and names a socket that the plugin serves", handshake),
		check("PL-START-02", "nothing else is printed on stdout", silent),
		check("PL-START-03", "started by hand it says what it is and ends", byHand),
		check("PL-START-04", "of several protocol versions it takes one that it speaks", versions),
		check("PL-START-05", "with newer versions alone it is refused cleanly", newer),
		check("PL-START-06", "it needs nothing of the host but what the contract gives", bare),
		check("PL-END-01", "it ends soon when its standard input does", eof),
		check("PL-END-02", "it leaves no socket", noSocket),
		check("PL-END-03", "it leaves no process", noProcess),
		check("PL-END-04", "what it is sent on standard input does not matter", chatter),
		check("PL-KILL-01", "killed at any moment of its start, it starts the next time", killed),
		check("PL-DESC-01", "Describe says what plugin.json says", describe),
		check("PL-DESC-02", "Describe says the same twice, and beside Configure", describeAgain),
		check("PL-CONF-01", "a configuration that cannot be used is refused with CONFIG_INVALID or an error diagnostic", garbage),
		check("PL-CONF-02", "the last Configure wins", lastWins),
		check("PL-CONF-03", "the cache directory may vanish", cacheGone),
		check("PL-PROBE-01", "Probe's findings have an id, and a remedy where something is missing", probe),
		check("PL-PROBE-02", "Probe finds the same twice", probeAgain),
		check("PL-WIRE-01", "unknown fields and unknown words are ignored", grease),
		check("PL-WIRE-02", "what is not served is answered UNIMPLEMENTED", unserved),
		check("PL-WIRE-03", "what is not claimed is answered UNIMPLEMENTED", unclaimed),
		check("PL-WIRE-04", "errors carry a reason that rkt knows", reasons),
		check("PL-WIRE-05", "an empty request does not end the plugin", empty),
		check("PL-WIRE-06", "messages up to 4 MiB are taken, larger ones refused", large),
		check("PL-WIRE-07", "a cancelled call does not end the plugin, nor one whose deadline is over", cancelled),
		check("PL-LOG-01", "log lines have level, message and time", logLines),
		check("PL-LOG-02", "it does not flood the log", flood),
		check("PL-MEM-01", "resident memory stays within the bound", memory),
	}
}

func service(p *process.Process) pluginv1.PluginServiceClient {
	return pluginv1.NewPluginServiceClient(p.Conn)
}

// alive asks for a sign of life.
func alive(ctx context.Context, p *process.Process) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	_, err := service(p).Describe(ctx, &pluginv1.DescribeRequest{})
	return err
}
