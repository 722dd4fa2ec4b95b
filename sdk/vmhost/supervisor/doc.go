// Package supervisor is what `rkt run` becomes for a pod in a virtual machine: a supervise.Flavor over any VMM.
//
//	supervisor (lock, status files, terminal)
//	  ├─ virtiofsd, one for each host volume, each in a cage of its own
//	  └─ VMM in its cage ── guest: init and agent ── the pod, run by the code of stage1-linux
//	       ▲ socket pair or vsock: the agent's channel
//
// One goroutine, locked to its thread, is the pod: the thread enters the pod's network namespace, makes the taps,
// starts the processes, and they die with it. The guest reports started and exited apps, and their output comes by
// streams that are copied here.
//
// Invariants: no path, name or number of the guest's is used for anything but messages; whatever happens to the
// VMM, every app that was running is reported as ended; what an app wrote before its end is passed on before the
// pod's end, for as long as somebody takes it.
package supervisor
