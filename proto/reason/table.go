package reason

// Sender is who may give a reason.
type Sender string

// The senders.
const (
	AnyPlugin Sender = "any plugin"
	Fetcher   Sender = "fetcher"
	Verifier  Sender = "verifier"
	Network   Sender = "network"
	Stage1    Sender = "stage1"
	Core      Sender = "core" // about a plugin; not believed when one sends it
)

// gRPC status codes (google.golang.org/grpc/codes), by number: this package has the standard library alone.
const (
	invalidArgument    = 3
	deadlineExceeded   = 4
	notFound           = 5
	alreadyExists      = 6
	permissionDenied   = 7
	resourceExhausted  = 8
	failedPrecondition = 9
	aborted            = 10
	unimplemented      = 12
	internal           = 13
	unavailable        = 14
	dataLoss           = 15
	unauthenticated    = 16
)

// Row is what there is to know of one reason.
type Row struct {
	Reason  Reason
	Sender  Sender
	Code    uint32 // gRPC status code that goes with it, for clients that know no reasons
	Meaning string
}

// Table has every reason once; docs/errors.md is made of it.
func Table() []Row {
	return []Row{
		{Internal, AnyPlugin, internal, "a bug: also what a panic, and a reason that core does not know, becomes"},
		{ConfigInvalid, AnyPlugin, invalidArgument, "the administrator's configuration cannot be used"},
		{HostUnfit, AnyPlugin, failedPrecondition, "this host lacks something; `rkt plugin check` says what, and the remedy"},
		{Busy, AnyPlugin, aborted, "another try may succeed soon: rkt makes five, within three seconds, or after metadata `retry_after`"},
		{Unsupported, AnyPlugin, unimplemented, "the plugin has no such ability"},

		{ReferenceInvalid, Fetcher, invalidArgument, "the image's name cannot be read"},
		{ImageNotFound, Fetcher, notFound, "its origin says that there is no such image"},
		{AuthRequired, Fetcher, unauthenticated, "the origin wants credentials, and none were given"},
		{AuthDenied, Fetcher, permissionDenied, "the origin refuses the credentials"},
		{NetworkUnreachable, Fetcher, unavailable, "the origin cannot be reached, or breaks off"},
		{RegistryThrottled, Fetcher, resourceExhausted, "the origin wants fewer requests; metadata `retry_after` says for how long, as in 30s, and rkt waits up to a minute"},
		{InsecureRefused, Fetcher, failedPrecondition, "it would take plain HTTP or an unverified certificate, which was not allowed"},
		{DigestMismatch, Fetcher, dataLoss, "the origin sent other bytes than it promised"},
		{ImageInvalid, Fetcher, dataLoss, "the image does not hold to its own specification"},

		{SignatureInvalid, Verifier, failedPrecondition, "a signature or key file cannot be parsed"},
		{SignatureRejected, Verifier, failedPrecondition, "a signature is missing or wrong; also core's, from verdicts"},
		{TrustMissing, Verifier, failedPrecondition, "no key is trusted for the image's name; also core's, from verdicts"},

		{NetworkNotFound, Network, notFound, "no network of that name is configured"},
		{NetworkDamaged, Network, failedPrecondition, "something of the pod's network is missing"},
		{AddressInUse, Network, alreadyExists, "the address is another pod's"},
		{PortInUse, Network, alreadyExists, "the host's port is taken"},

		{PodUnsupported, Stage1, invalidArgument, "this flavor cannot run this pod; the diagnostics name the fields"},
		{PodNotFound, Stage1, notFound, "there is no such pod"},
		{PodNotRunning, Stage1, failedPrecondition, "the pod does not run"},
		{AppNotFound, Stage1, notFound, "the pod has no such app"},

		{PluginMissing, Core, failedPrecondition, "no plugin offers what is needed, or several do and none was chosen"},
		{PluginRefused, Core, failedPrecondition, "a plugin was found that is not trusted, or is not what it says"},
		{PluginProtocol, Core, internal, "a plugin speaks otherwise than the contract"},
		{PluginCrashed, Core, internal, "a plugin's process ended in the middle"},
		{PluginTimeout, Core, deadlineExceeded, "a plugin did not answer within the deadline"},
	}
}

// Code is the gRPC status code of a reason; that of Internal for one that Table lacks.
func Code(r Reason) uint32 {
	for _, row := range Table() {
		if row.Reason == r {
			return row.Code
		}
	}
	return internal
}

// SenderOf says who may give a reason; AnyPlugin for one that Table lacks.
func SenderOf(r Reason) Sender {
	for _, row := range Table() {
		if row.Reason == r {
			return row.Sender
		}
	}
	return AnyPlugin
}
