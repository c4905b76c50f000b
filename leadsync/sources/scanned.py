"""Scanned: which keys SCAN has given already, in some twenty bytes a key; it may give a key more than once."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_REST = 6
"""Bytes that are kept of a key's digest, in the bucket that its first two name: two different keys of a million pass
for one with a chance of 1 in 10**7."""


class Scanned:
    """The keys so far. A set of digests would take five times the room, and a source can have any number of keys."""

    def __init__(self) -> None:
        self._buckets = [b""] * (1 << 16)

    def fresh(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those keys that were not there yet, each once."""
        buckets, found = self._buckets, []
        for key in keys:
            digest = blake2b(key, digest_size=2 + _REST).digest()
            number, rest = digest[0] << 8 | digest[1], digest[2:]
            bucket = buckets[number]
            if rest in bucket and _is_in(rest, bucket):
                continue
            buckets[number] = bucket + rest
            found.append(key)
        return found


def _is_in(rest: bytes, bucket: bytes) -> bool:
    """Whether it stands there by itself, and not as the end of one and the beginning of the next."""
    return any(bucket[at : at + _REST] == rest for at in range(0, len(bucket), _REST))
