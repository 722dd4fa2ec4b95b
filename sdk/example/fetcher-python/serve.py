"""The process of a plugin: handshake, lifeline, log, identity, errors. Nothing here knows of images."""

import concurrent.futures
import datetime
import json
import os
import sys
import threading
import traceback

import grpc

import errors_pb2
from rkt.plugin.v1 import plugin_pb2 as plugin

COOKIE = "plugins are started by rkt, not by hand"
MAX_MESSAGE = 4 << 20

CODES = {
    "REFERENCE_INVALID": grpc.StatusCode.INVALID_ARGUMENT,
    "CONFIG_INVALID": grpc.StatusCode.INVALID_ARGUMENT,
    "IMAGE_NOT_FOUND": grpc.StatusCode.NOT_FOUND,
    "DIGEST_MISMATCH": grpc.StatusCode.DATA_LOSS,
    "IMAGE_INVALID": grpc.StatusCode.DATA_LOSS,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


class Error(Exception):
    """An error with a reason that rkt understands."""

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


class Cancelled(Exception):
    """The caller has gone, or is about to."""


class Call:
    """One RPC, as the code that serves it sees it."""

    def __init__(self, context):
        self.context = context

    def check(self):
        """Long work calls this often."""
        if not self.context.is_active():
            raise Cancelled


def log(level, message, **more):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    line = {"@level": level, "@message": message, "@timestamp": now, **more}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def abort(context, reason, message):
    """Ends the RPC with a status whose detail is a google.rpc.ErrorInfo."""
    code = CODES[reason]
    message = message.encode("utf-8", "replace").decode()[:8192]
    info = errors_pb2.ErrorInfo(reason=reason, domain="rkt")
    detail = errors_pb2.Detail(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString())
    status = errors_pb2.Status(code=code.value[0], message=message, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


class guarded:
    """Turns what a handler raises into a status."""

    def __init__(self, context):
        self.context = context

    def __enter__(self):
        return Call(self.context)

    def __exit__(self, kind, error, trace):
        if error is None or not isinstance(error, Exception):
            return False
        if isinstance(error, Cancelled):
            self.context.abort(grpc.StatusCode.CANCELLED, "cancelled")
        if isinstance(error, Error):
            abort(self.context, error.reason, str(error))
        if isinstance(error, OSError):
            what = f"{error.filename}: " if error.filename else ""
            abort(self.context, "INTERNAL", f"{what}{(error.strerror or str(error)).lower()}")
        log("error", "exception", stack="".join(traceback.format_exception(error)))
        abort(self.context, "INTERNAL", f"{type(error).__name__}: {error}")


def unary(handle, request, response):
    def serve(message, context):
        with guarded(context) as call:
            return handle(message, call)

    return grpc.unary_unary_rpc_method_handler(serve, request.FromString, response.SerializeToString)


def stream(handle, request, response):
    def serve(message, context):
        with guarded(context) as call:
            yield from handle(message, call)

    return grpc.unary_stream_rpc_method_handler(serve, request.FromString, response.SerializeToString)


def identity(manifest):
    """PluginService, from the same words that `manifest` prints."""

    def describe(_request, _call):
        said = plugin.DescribeResponse(name=manifest["name"], version=manifest["version"], vendor=manifest.get("vendor", ""))
        for provision in manifest["provides"]:
            said.provides.add(**provision)
        return said

    def configure(request, _call):
        if request.config:
            raise Error("CONFIG_INVALID", f"{manifest['name']} has no configuration")
        return plugin.ConfigureResponse()

    def probe(_request, _call):
        return plugin.ProbeResponse()

    return {
        "Describe": unary(describe, plugin.DescribeRequest, plugin.DescribeResponse),
        "Configure": unary(configure, plugin.ConfigureRequest, plugin.ConfigureResponse),
        "Probe": unary(probe, plugin.ProbeRequest, plugin.ProbeResponse),
    }


def choose(manifest, offered):
    """The greatest of our majors that rkt offers, else the greatest."""
    ours = [n for p in manifest["provides"] for n in p["protocols"]]
    common = [n for n in ours if str(n) in offered.split(",")]
    return max(common or ours)


def main(manifest, services):
    """The plugin's whole life; returns the exit status."""
    if sys.argv[1:] == ["manifest"]:
        print(json.dumps(manifest, indent=2))
        return 0
    if sys.argv[1:] == ["version"]:
        print(manifest["name"], manifest["version"])
        return 0
    if os.environ.get("RKT_PLUGIN") != COOKIE:
        print(f"{manifest['name']} {manifest['version']} is a plugin of rkt, which starts it when it is needed.", file=sys.stderr)
        return 64
    socket = os.path.join(os.environ["PLUGIN_UNIX_SOCKET_DIR"], f"plugin{os.getpid()}")
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=8),
        options=[("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)],
    )
    for name, methods in {"rkt.plugin.v1.PluginService": identity(manifest), **services}.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    if not server.add_insecure_port("unix:" + socket):
        log("error", "make socket", path=socket)
        return 70
    server.start()
    threading.Thread(target=lifeline, args=(server, socket), daemon=True).start()
    protocol = choose(manifest, os.environ.get("PLUGIN_PROTOCOL_VERSIONS", ""))
    os.write(1, f"1|{protocol}|unix|{socket}|grpc|\n".encode())
    os.dup2(2, 1)  # whatever a library prints belongs to the log
    server.wait_for_termination()
    return 0


def lifeline(server, socket):
    """Ends the process when rkt closes its end of our standard input, or dies."""
    while os.read(0, 4096):
        pass
    server.stop(0).wait(0.5)
    try:
        os.unlink(socket)
    except FileNotFoundError:
        pass
    os._exit(0)  # a thread that hangs in a read must not keep us
