// Package launch is the contract between core and a plugin process before the first RPC, and between core
// and a supervisor at its birth. It uses the standard library alone.
//
// Core starts <plugin dir>/<exec> with:
//
//	argv       the binary's name, no arguments (of a script see Script)
//	stdin      the lifeline: a pipe that core holds open. EOF means exit within one second.
//	stdout     one handshake line, hashicorp/go-plugin's:
//	           1|<app protocol>|unix|<socket path>|grpc
//	           Nothing may be printed before or after it.
//	stderr     log lines, JSON objects with @level, @message, @timestamp and further keys
//	env        an allow-list, and the variables below
//	session    its own (setsid), so that the terminal's signals reach core alone
//
//	RKT_PLUGIN                 the magic cookie (CookieKey, CookieValue): only a friendly check
//	PLUGIN_PROTOCOL_VERSIONS   majors that core speaks, "1,2"
//	PLUGIN_UNIX_SOCKET_DIR     a private 0700 directory; the socket is made in it
//	RKT_FDS                    donated descriptors: "lock:3,netns:4"
//
// What a plugin owes at its start: the line comes within five seconds, and its socket lies in PLUGIN_UNIX_SOCKET_DIR itself
// and is served by the very process that core started (PL-START-01). Nothing else is ever printed on stdout
// (PL-START-02). Without the cookie it says on its output what it is, and ends with a status other than 0 (PL-START-03).
// Of the majors in PLUGIN_PROTOCOL_VERSIONS it takes one that it speaks (PL-START-04); when it speaks none of them it
// prints one of its own all the same, and core refuses it with both sides' versions, or it says so on stderr and ends
// (PL-START-05). It needs no PATH, no HOME, no /tmp, and no place to write but the directories that it is given
// (PL-START-06). Killed at any moment, it starts the next time, in the same directory too (PL-KILL-01).
//
// At its end: EOF on stdin ends it, with status 0 when nothing was wrong (PL-END-01), without a socket (PL-END-02) or a
// process (PL-END-03) left behind. Bytes on stdin mean nothing (PL-END-04).
//
// On the wire: unknown fields of a request are ignored, and so are capabilities of core's that it does not know: a later
// minor will have some (PL-WIRE-01). Services and methods that it does not have are answered UNIMPLEMENTED
// (PL-WIRE-02), and so are methods whose capability it does not claim in plugin.json (PL-WIRE-03). An error carries
// google.rpc.ErrorInfo with domain "rkt" and a reason of proto/reason, unless its code is CANCELLED, DEADLINE_EXCEEDED
// or UNIMPLEMENTED (PL-WIRE-04). A request about something that does not exist is an error at most (PL-WIRE-05).
// Messages have up to 4 MiB in both directions; a larger one may be refused and must be survived (PL-WIRE-06). A call
// that is cancelled or whose deadline is over ends soon, and nothing else does (PL-WIRE-07).
//
// Of its log: @level is trace, debug, info, warn or error; @message and @timestamp are there (PL-LOG-01). Lines that
// are no JSON objects are taken for a runtime's words and shown when debugging. Core reads stderr as fast as it comes
// and shows 10,000 lines of a life, which no plugin needs (PL-LOG-02).
//
// Of memory: 64 MiB resident are enough for any plugin, whatever the size of what it moves (PL-MEM-01).
//
// A supervisor gets RKT_FDS too, and keeps exactly the descriptors that its ExecPlan named.
package launch
