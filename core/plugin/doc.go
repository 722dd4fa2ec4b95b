// Package plugin finds plugins, decides whether to trust them, starts them, and speaks with them. It is the one
// package of core that imports go-plugin and gRPC's client machinery.
//
// It owns: the search path and precedence (discover.go), the choice among several (choose.go), the checks of
// owner and mode (trust.go), the process (spawn.go, script.go, confine.go, limits.go, landlock.go, descendants.go), the
// handshake (handshake.go, majors.go, grease.go), the log of a plugin (drain.go), typed clients and the end of it all (process.go),
// and the one table that maps reasons to errors and exit statuses (errors.go). It does not own what the plugins
// are asked: that is core/fetch, verify, network and execute.
//
// One launch, in order:
//
//	Launch
//	  trust      open every directory down from / and check it; open the binary, check that descriptor
//	  rundir     a private 0700 directory below /run/rkt/plugins, owned by the plugin's uid
//	  spawn      a thread gives up privileges and forks; execve of /proc/self/fd/N, the very file checked
//	  handshake  one line on stdout, five seconds; go-plugin chooses the version
//	  dial       the socket's peer must be the child's pid and uid (SO_PEERCRED)
//	  Describe   must equal plugin.json
//	  Configure  the admin's bytes, when there are any
//	Close
//	  lifeline   stdin at EOF: the plugin ends itself within a second
//	  kill       SIGKILL to what is left, see descendants.go
//	  reap       Wait, so that core may execve afterwards without strange children
//
// Invariants: a plugin's binary is never run to learn what it is; nothing in it runs before it was checked;
// no environment of the caller passes but by name; whatever a plugin prints or answers is bounded in memory;
// after Close none of its processes is left (how sure that is depends on the kind: descendants.go).
package plugin
