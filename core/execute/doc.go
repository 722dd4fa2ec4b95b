// Package execute is the fourth dispatch step: it asks a stage1 to run, enter or stop a pod, and becomes the
// program that the stage1 answers with.
//
// It owns the calls of a stage1 plugin and execve(2) by an ExecPlan: which descriptors stay open, which
// environment goes along. It does not own isolation of any kind, nor the pod directory's states.
//
// Invariant: when Become replaces this process, every plugin process has been reaped. A supervisor would
// inherit them as strange children otherwise.
package execute
