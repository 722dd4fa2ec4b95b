// Package launch is the contract between core and a plugin process before the first RPC, and between core
// and a supervisor at its birth. It uses the standard library alone.
//
// Core starts <plugin dir>/<exec> with:
//
//	argv       the binary's name, no arguments
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
// A supervisor gets RKT_FDS too, and keeps exactly the descriptors that its ExecPlan named.
package launch
