// Package engine holds the product's verbs: Fetch, Prepare, Run, Enter, Stop, GC and so on, each as the order
// of its steps and little else.
//
// It is where the four dispatch steps (core/fetch, verify, network, execute) meet the state (core/store, pod,
// pin, cgroup). It owns the order, what happens when a step has failed, and policy that spans steps (pull
// policy, whether a signature is needed, names of apps). It prints nothing and exits nothing: progress and
// warnings go to the Observer.
package engine
