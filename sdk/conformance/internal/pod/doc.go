// Package pod makes pod directories as core does (proto/poddir) and starts what a stage1 plans for them: the supervisor,
// as a child with the pod's lock and namespace donated, in a session of its own. It looks at what a supervisor leaves.
//
// It owns the pod until Close: then nothing of it runs any more. Checks decide what they make of what they see.
package pod
