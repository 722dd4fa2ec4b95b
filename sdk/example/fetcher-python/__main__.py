"""A fetcher for rkt in Python: dir:///PATH is an OCI image layout, or a tar of a root file system.

Written from docs/plugins-other-languages.md and the .proto files alone. serve.py is what every plugin needs and
nothing of images; layout.py writes OCI layouts; source.py reads what the reference names; this file is the fetcher.
"""

import re
import sys

import layout
import serve
import source
from rkt.fetcher.v1 import fetcher_pb2 as fetcher

MANIFEST = {
    "schema": 1,
    "name": "fetcher-python",
    "version": "1.0.0",
    "vendor": "rkt",
    "exec": "rkt-fetcher-python",
    "provides": [{"service": "rkt.fetcher", "protocols": [1], "schemes": ["dir"]}],
}


def fetch(request, call):
    """Yields FetchEvents: progress, and at last what was fetched."""
    match = re.fullmatch(r"dir://(/.*)", request.reference, re.DOTALL)
    if not match:
        raise serve.Error("REFERENCE_INVALID", f"{request.reference!r}: want dir:///ABSOLUTE/PATH")
    path = match[1]
    out = layout.Layout(request.layout_dir, set(request.present_digests), call.check)
    image = None
    for step in source.image(path, request.platform, out):
        if isinstance(step, layout.Step):
            yield fetcher.FetchEvent(progress=fetcher.Progress(phase="copy", item=step.item, done=step.done, total=step.total))
        else:
            image = step
    call.check()
    out.finish(image)
    descriptor = fetcher.Descriptor(media_type=image["mediaType"], digest=image["digest"], size=image["size"])
    yield fetcher.FetchEvent(done=fetcher.FetchDone(image=descriptor, canonical=request.reference))


def main():
    methods = {"Fetch": serve.stream(fetch, fetcher.FetchRequest, fetcher.FetchEvent)}
    return serve.main(MANIFEST, {"rkt.fetcher.v1.FetcherService": methods})


if __name__ == "__main__":
    sys.exit(main())
