// Package stage1 is what a plugin that runs pods is built on: implement Stage1 and call Main.
//
// A pod is held by no RPC. Run prepares and answers with an ExecPlan; rkt reaps the plugin, then *becomes* that
// program: same PID, terminal, cgroup. From then on the program is the pod's supervisor, with the duties that
// proto/poddir names; sdk/supervise does them.
//
//	rkt run ── spawn plugin ── Validate, Run ── reap plugin ── execve ──> supervisor ── execve ──> rkt finish
//
// The supervisor is either a small program of its own beside the plugin (Info.Programs; least memory per pod),
// or the plugin's own binary: embed Base, implement Supervisor, and Main dispatches the argument "supervise".
//
// Optional abilities are further interfaces, each with its capability: Enterer "enter", Attacher "attach",
// Stopper "stop", Statser "stats", Mutator "mutable", Resizer "resources", Cleaner "cleanup". plugin.Configurer and
// plugin.Prober have none.
package stage1
