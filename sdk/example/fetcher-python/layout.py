"""An OCI image layout that is being filled."""

import dataclasses
import hashlib
import json
import os
import re
import time

import serve

CHUNK = 1 << 20
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclasses.dataclass
class Step:
    """How much of a blob is there."""

    item: str
    done: int
    total: int


def parts(digest):
    """Takes a digest apart. What comes back is safe as a file name."""
    match = isinstance(digest, str) and re.fullmatch(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})", digest)
    if not match:
        raise serve.Error("IMAGE_INVALID", f"{digest!r} is not a digest")
    return match[1] or match[3], match[2] or match[4]


class Layout:
    """check is called often, and raises when the caller has gone."""

    def __init__(self, directory, present, check):
        self.directory = directory
        self.present = present
        self.check = check

    def blob(self, want, file):
        """Copies file into the blob that the descriptor want names, yielding Steps.

        A former attempt's bytes are digested and gone on with; if they turn out to be wrong, all is written anew.
        """
        alg, name = parts(want["digest"])
        if want["digest"] in self.present:
            return
        folder = os.path.join(self.directory, "blobs", alg)
        os.makedirs(folder, exist_ok=True)
        final = os.path.join(folder, name)
        if os.path.exists(final):
            with open(final, "rb") as f:
                if self.digest(alg, f) == (name, want["size"]):
                    return
            os.unlink(final)
        told = 0
        for resume in (True, False):
            with open(final + ".partial", "a+b") as partial:
                hashed, done = hashlib.new(alg), 0
                if resume:
                    partial.seek(0)
                    done = self.hash_all(hashed, partial)
                if not resume or done > want["size"]:
                    partial.truncate(0)
                    hashed, done = hashlib.new(alg), 0
                resumed = done > 0
                file.seek(done)
                for done in self.copy(file, partial, hashed, done, want["size"]):
                    told = max(told, done)  # bars never go back, though we may
                    yield Step(want["digest"], told, want["size"])
            whole = os.path.getsize(final + ".partial") == want["size"] and not file.read(1)
            if whole and hashed.hexdigest() == name:
                os.rename(final + ".partial", final)
                return
            if not resumed:
                break
        os.unlink(final + ".partial")
        raise serve.Error("DIGEST_MISMATCH", f"blob {want['digest']}: the bytes are not the promised ones")

    def copy(self, file, partial, hashed, done, total):
        """Appends up to total bytes in all, yielding now and then how many there are."""
        told = 0.0
        while block := file.read(min(CHUNK, total - done)):
            self.check()
            partial.write(block)
            hashed.update(block)
            done += len(block)
            if done == total or time.monotonic() - told > 0.1:
                told = time.monotonic()
                yield done

    def hash_all(self, hashed, file):
        done = 0
        while block := file.read(CHUNK):
            self.check()
            hashed.update(block)
            done += len(block)
        return done

    def digest(self, alg, file):
        """The digest of an open file, and its size."""
        hashed = hashlib.new(alg)
        size = self.hash_all(hashed, file)
        return hashed.hexdigest(), size

    def finish(self, image):
        """Names the image. Everything that it reaches is there by now."""
        self.write("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self.write("index.json", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image]})

    def write(self, name, value):
        path = os.path.join(self.directory, name)
        with open(path + ".tmp", "w", encoding="utf-8") as f:
            json.dump(value, f)
        os.rename(path + ".tmp", path)
