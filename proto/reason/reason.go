// Package reason holds the words that travel in google.rpc.ErrorInfo.reason, domain "rkt": why a plugin could
// not do what it was asked. Plugins send them, core maps them to Go errors, texts and exit codes in one table
// (core/plugin/errors.go). What each means, who sends it and with which gRPC code is Table. A word that core does
// not know counts as Internal. Standard library alone.
package reason

// Domain is google.rpc.ErrorInfo.domain.
const Domain = "rkt"

// Reason is one word.
type Reason string

// Sent by any plugin.
const (
	Internal      Reason = "INTERNAL"
	ConfigInvalid Reason = "CONFIG_INVALID"
	HostUnfit     Reason = "HOST_UNFIT"
	Busy          Reason = "BUSY"
	Unsupported   Reason = "UNSUPPORTED"
)

// Sent by fetchers.
const (
	ReferenceInvalid   Reason = "REFERENCE_INVALID"
	ImageNotFound      Reason = "IMAGE_NOT_FOUND"
	AuthRequired       Reason = "AUTH_REQUIRED"
	AuthDenied         Reason = "AUTH_DENIED"
	NetworkUnreachable Reason = "NETWORK_UNREACHABLE"
	RegistryThrottled  Reason = "REGISTRY_THROTTLED"
	InsecureRefused    Reason = "INSECURE_REFUSED"
	DigestMismatch     Reason = "DIGEST_MISMATCH"
	ImageInvalid       Reason = "IMAGE_INVALID"
)

// Sent by verifiers. SignatureRejected and TrustMissing are also core's own, made from verdicts.
const (
	SignatureInvalid  Reason = "SIGNATURE_INVALID"
	SignatureRejected Reason = "SIGNATURE_REJECTED"
	TrustMissing      Reason = "TRUST_MISSING"
)

// Sent by network plugins.
const (
	NetworkNotFound Reason = "NETWORK_NOT_FOUND"
	NetworkDamaged  Reason = "NETWORK_DAMAGED"
	AddressInUse    Reason = "ADDRESS_IN_USE"
	PortInUse       Reason = "PORT_IN_USE"
)

// Sent by stage1s.
const (
	PodUnsupported Reason = "POD_UNSUPPORTED"
	PodNotFound    Reason = "POD_NOT_FOUND"
	PodNotRunning  Reason = "POD_NOT_RUNNING"
	AppNotFound    Reason = "APP_NOT_FOUND"
)

// Made by core about a plugin, never sent.
const (
	PluginMissing  Reason = "PLUGIN_MISSING"
	PluginRefused  Reason = "PLUGIN_REFUSED"
	PluginProtocol Reason = "PLUGIN_PROTOCOL"
	PluginCrashed  Reason = "PLUGIN_CRASHED"
	PluginTimeout  Reason = "PLUGIN_TIMEOUT"
)
