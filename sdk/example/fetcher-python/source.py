"""What a reference names: an OCI image layout, or a tar of a root file system."""

import hashlib
import io
import json
import os
import stat
import tarfile
import zlib

import layout
import serve

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFESTS = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = (layout.INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
MAX_DOCUMENT = 4 << 20
MAX_DEPTH = 4


def image(path, platform, out):
    """Copies the image at path into out, yielding Steps, and last its descriptor."""
    try:
        # Not to wait for the other end of a fifo.
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", closefd=True)
    except IsADirectoryError:
        file = None
    except (FileNotFoundError, NotADirectoryError):
        raise serve.Error("IMAGE_NOT_FOUND", f"{path}: no such file or directory") from None
    except PermissionError:
        raise serve.Error("IMAGE_NOT_FOUND", f"{path}: permission denied; fetchers run as an unprivileged user") from None
    except ValueError as e:
        raise serve.Error("REFERENCE_INVALID", f"{path!r}: {e}") from None
    if file is None:
        yield from from_layout(path, platform, out)
        return
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise serve.Error("IMAGE_INVALID", f"{path}: neither a directory nor a regular file")
        yield from from_tar(path, file, platform, out)


def from_layout(path, platform, out):
    try:
        with open(os.path.join(path, "index.json"), "rb") as f:
            index = document(f.read(MAX_DOCUMENT + 1), "index.json")
    except FileNotFoundError:
        raise serve.Error("IMAGE_NOT_FOUND", f"{path}: no OCI image layout, since there is no index.json in it") from None
    found, manifest = choose(path, index, platform)
    yield from whole(path, found, out)
    for want in [manifest.get("config"), *items(manifest, "layers")]:
        yield from whole(path, check(want), out)
    yield {k: found[k] for k in ("mediaType", "digest", "size")}


def choose(path, index, platform, depth=0):
    """The descriptor of the manifest for the platform, and what it holds."""
    fitting = [check(d) for d in items(index, "manifests") if fits(d, platform)]
    if not fitting:
        raise serve.Error("IMAGE_NOT_FOUND", f"{path}: no image for {platform.os}/{platform.architecture}")
    if len({d["digest"] for d in fitting}) > 1:
        fitting = [d for d in fitting if d.get("platform")] or fitting
        if len({d["digest"] for d in fitting}) > 1:
            raise serve.Error("REFERENCE_INVALID", f"{path}: it holds {len(fitting)} images for {platform.os}/{platform.architecture}; one is needed")
    found = fitting[0]
    with open_blob(path, found) as f:
        b = f.read(MAX_DOCUMENT + 1)
    alg, name = layout.parts(found["digest"])
    if len(b) != found["size"] or hashlib.new(alg, b).hexdigest() != name:
        raise serve.Error("DIGEST_MISMATCH", f"blob {found['digest']}: the bytes are not the promised ones")
    held = document(b, found["digest"])
    if found["mediaType"] in MANIFESTS:
        return found, held
    if found["mediaType"] not in INDEXES or depth == MAX_DEPTH:
        raise serve.Error("IMAGE_INVALID", f"{path}: {found['digest']} has the type {found['mediaType']!r}")
    return choose(path, held, platform, depth + 1)


def fits(descriptor, platform):
    asked = descriptor.get("platform") if isinstance(descriptor, dict) else None
    if not isinstance(asked, dict):
        return True
    return (asked.get("os"), asked.get("architecture")) == (platform.os, platform.architecture)


def whole(path, want, out):
    if want["digest"] in out.present:
        return
    with open_blob(path, want) as f:
        yield from out.blob(want, f)


def open_blob(path, want):
    alg, name = layout.parts(want["digest"])
    blob = os.path.join(path, "blobs", alg, name)
    try:
        return open(os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        raise serve.Error("IMAGE_INVALID", f"{path}: blob {want['digest']} is missing") from None


def document(b, what):
    try:
        held = json.loads(b) if len(b) <= MAX_DOCUMENT else None
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        raise serve.Error("IMAGE_INVALID", f"{what} is not a JSON object of at most {MAX_DOCUMENT} bytes")
    return held


def items(held, key):
    value = held.get(key)
    return value if isinstance(value, list) else []


def check(descriptor):
    """A descriptor whose fields can be relied on."""
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("mediaType"), str):
        raise serve.Error("IMAGE_INVALID", "a descriptor without a type")
    layout.parts(descriptor.get("digest"))
    size = descriptor.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62:
        raise serve.Error("IMAGE_INVALID", f"descriptor {descriptor['digest']} has the size {size!r}")
    return descriptor


def from_tar(path, file, platform, out):
    """An image of one layer, the file as it is. The same file makes the same image."""
    gzipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    name, size = out.digest("sha256", file)
    file.seek(0)
    diff_id = unpacked(path, file, out) if gzipped else name
    layer = {"mediaType": LAYER + "+gzip" * gzipped, "digest": "sha256:" + name, "size": size}
    if not gzipped:
        file.seek(0)
        headed(path, file.read(512))
    yield from out.blob(layer, file)
    config = {
        "os": platform.os, "architecture": platform.architecture, "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff_id]},
    }
    made = []
    for media_type, value in ((CONFIG, config), (MANIFEST, None)):
        if value is None:
            value = {"schemaVersion": 2, "mediaType": MANIFEST, "config": made[0], "layers": [layer]}
        b = json.dumps(value, sort_keys=True).encode()
        made.append({"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(b).hexdigest(), "size": len(b)})
        yield from out.blob(made[-1], io.BytesIO(b))
    yield made[-1]


def unpacked(path, file, out):
    """The digest of what a gzip holds, which never is in memory as a whole."""
    hashed, inflate, head, midway = hashlib.sha256(), zlib.decompressobj(31), b"", True
    try:
        while block := file.read(1 << 16):
            while block:
                out.check()
                piece = inflate.decompress(block, 1 << 20)
                hashed.update(piece)
                head = head if len(head) >= 512 else head + piece
                midway = not inflate.eof
                if midway:
                    block = inflate.unconsumed_tail
                else:  # a gzip may have several members
                    block, inflate = inflate.unused_data, zlib.decompressobj(31)
    except zlib.error as e:
        raise serve.Error("IMAGE_INVALID", f"{path}: {str(e).lower()}") from None
    if midway:
        raise serve.Error("IMAGE_INVALID", f"{path}: the gzip ends in its middle")
    headed(path, head[:512])
    return hashed.hexdigest()


def headed(path, head):
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as e:
        raise serve.Error("IMAGE_INVALID", f"{path}: not a tar: {e}") from None
