// Package stage1v1 is generated from stage1.proto, whose comments are the contract: who calls, whether a call may be
// repeated, how long it may take, and how it fails.
package stage1v1
