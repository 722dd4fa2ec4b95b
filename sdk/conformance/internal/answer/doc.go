// Package answer judges errors that plugins send, gRPC's code and google.rpc.ErrorInfo's reason, and makes them readable.
package answer
