"""What no reference can bring about: former attempts, and sources that are not what they promise.

PYTHONPATH=out/fetcher-python/rkt-fetcher-python python3 layout_test.py
"""

import hashlib
import io
import os
import tempfile
import unittest

import layout
import serve


class Counting(io.BytesIO):
    """A source that knows where reading began."""

    began = None

    def seek(self, place, *how):
        self.began = place
        return super().seek(place, *how)


class Blob(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.bytes = os.urandom(3 << 20)
        self.name = hashlib.sha256(self.bytes).hexdigest()
        self.want = {"digest": "sha256:" + self.name, "size": len(self.bytes)}
        self.path = os.path.join(directory.name, "blobs/sha256", self.name)
        self.layout = layout.Layout(directory.name, set(), lambda: None)

    def left(self, name, b):
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as f:
            f.write(b)

    def copy(self, b=None):
        source = Counting(self.bytes if b is None else b)
        steps = [s.done for s in self.layout.blob(self.want, source)]
        self.assertEqual(steps, sorted(steps))
        with open(self.path, "rb") as f:
            self.assertEqual(f.read(), self.bytes)
        self.assertFalse(os.path.exists(self.path + ".partial"))
        return source.began

    def refused(self, b):
        with self.assertRaises(serve.Error) as caught:
            list(self.layout.blob(self.want, io.BytesIO(b)))
        self.assertEqual(caught.exception.reason, "DIGEST_MISMATCH")
        self.assertFalse(os.path.exists(self.path) or os.path.exists(self.path + ".partial"))

    def test_fresh(self):
        self.assertEqual(self.copy(), 0)

    def test_resumed(self):
        self.left(self.path + ".partial", self.bytes[:1000])
        self.assertEqual(self.copy(), 1000)

    def test_partial_is_wrong(self):
        self.left(self.path + ".partial", b"x" * 1000)
        self.assertEqual(self.copy(), 0)

    def test_partial_is_too_long(self):
        self.left(self.path + ".partial", self.bytes + b"x")
        self.assertEqual(self.copy(), 0)

    def test_partial_is_whole(self):
        self.left(self.path + ".partial", self.bytes)
        self.copy()

    def test_there_already(self):
        self.left(self.path, self.bytes)
        self.assertIsNone(self.copy(b"not looked at"))

    def test_there_and_damaged(self):
        self.left(self.path, b"x" + self.bytes[1:])
        self.copy()

    def test_other_bytes(self):
        self.refused(b"x" + self.bytes[1:])

    def test_more_bytes(self):
        self.refused(self.bytes + b"x")

    def test_fewer_bytes(self):
        self.refused(self.bytes[:-1])

    def test_wrong_size(self):
        self.want["size"] += 1
        self.refused(self.bytes)

    def test_resumed_with_other_bytes(self):
        self.left(self.path + ".partial", self.bytes[:1000])
        self.refused(b"x" + self.bytes[1:-1])

    def test_no_digest(self):
        for digest in (None, 7, "", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 32, "sha256:" + "A" * 64):
            with self.assertRaises(serve.Error):
                layout.parts(digest)

    def test_cancelled(self):
        def gone():
            raise serve.Cancelled

        self.layout.check = gone
        with self.assertRaises(serve.Cancelled):
            list(self.layout.blob(self.want, io.BytesIO(self.bytes)))
        self.assertFalse(os.path.exists(self.path))


class Choose(unittest.TestCase):
    def test_majors(self):
        manifest = {"provides": [{"protocols": [1, 2]}, {"protocols": [1]}]}
        for offered, want in (("1", 1), ("1,2", 2), ("1,2,31337", 2), ("3", 2), ("", 2), ("x,1", 1)):
            self.assertEqual(serve.choose(manifest, offered), want)


if __name__ == "__main__":
    unittest.main()
