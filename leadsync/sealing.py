"""Sealing: what is encrypted before it lies in Redis, when LEADSYNC_SECRET_KEY is set (Fernet of `cryptography`).

Several keys, separated by commas, make a rotation: the first encrypts, all decrypt. A value that was stored before the
key was set is read as it is, and sealed when it is written next.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pydantic import SecretStr

from leadsync.errors import ConfigurationError

VARIABLE = "LEADSYNC_SECRET_KEY"

MAKE_ONE = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
"""Prints a new key."""

MARK = b"sealed:"
"""What a sealed value begins with; what we store plainly is JSON, which never does."""

KEY_BYTES = 32

_HERE = f"{VARIABLE} (the environment or .env)"
WAY_OUT = (
    "several keys may stand there, separated by commas: the first encrypts, all decrypt. "
    "If the key is lost, `leadsync forget --unreadable` drops what nobody can read any more"
)
"""What to do when something cannot be opened."""


class Seal(Protocol):
    """Closes and opens values."""

    @property
    def is_on(self) -> bool:
        """Whether what is closed cannot be read without the key."""
        ...

    def close(self, plain: bytes) -> bytes:
        """The value as it is stored."""
        ...

    def open(self, stored: bytes | str) -> bytes:
        """The value as it was. Raises ConfigurationError for one that is closed with a key that is not at hand."""
        ...

    def is_current(self, stored: bytes | str) -> bool:
        """Whether a value is stored as `close` would store it now."""
        ...


class _Plain:
    """No seal: what is stored is what it was."""

    is_on = False

    def close(self, plain: bytes) -> bytes:
        return plain

    def open(self, stored: bytes | str) -> bytes:
        raw = _bytes(stored)
        if raw.startswith(MARK):
            what = f"Redis holds something that is encrypted, and {VARIABLE} is not set"
            raise ConfigurationError(what, where=_HERE, do=f"set it to the key that encrypted it; {WAY_OUT}")
        return raw

    def is_current(self, stored: bytes | str) -> bool:
        return not _bytes(stored).startswith(MARK)


PLAIN: Seal = _Plain()
"""Stores everything as it is."""


class _Fernet:
    """The seal of some keys, at least one."""

    is_on = True

    def __init__(self, keys: Sequence[str]) -> None:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet  # noqa: PLC0415 - slow, and only with a key

        boxes = [Fernet(key) for key in keys]
        self._first, self._all = boxes[0], MultiFernet(boxes)
        self._wrong = InvalidToken

    def close(self, plain: bytes) -> bytes:
        return MARK + self._first.encrypt(plain)

    def open(self, stored: bytes | str) -> bytes:
        raw = _bytes(stored)
        if not raw.startswith(MARK):
            return raw
        opened = self._tried(self._all.decrypt, raw)
        if opened is None:
            what = f"Redis holds something that was encrypted with another key than {VARIABLE} has now"
            raise ConfigurationError(what, where=_HERE, do=f"put that key back behind the new one; {WAY_OUT}")
        return opened

    def is_current(self, stored: bytes | str) -> bool:
        raw = _bytes(stored)
        return raw.startswith(MARK) and self._tried(self._first.decrypt, raw) is not None

    def _tried(self, decrypt: Callable[[bytes], Any], raw: bytes) -> bytes | None:
        try:
            return bytes(decrypt(raw.removeprefix(MARK)))
        except self._wrong:
            return None


def seal_of(secret: SecretStr | None) -> Seal:
    """The seal of the keys in LEADSYNC_SECRET_KEY, which Settings has checked; PLAIN without any."""
    keys = keys_in(secret.get_secret_value()) if secret is not None else []
    return _Fernet(keys) if keys else PLAIN


def keys_in(text: str) -> list[str]:
    """The keys of a text, in its order."""
    return [key for part in text.split(",") if (key := part.strip())]


def is_key(text: str) -> bool:
    """Whether a text is a key for Fernet: 32 bytes in URL-safe Base64."""
    try:
        return len(urlsafe_b64decode(text.encode("ascii"))) == KEY_BYTES
    except ValueError:  # among them UnicodeEncodeError and binascii.Error
        return False


def _bytes(stored: bytes | str) -> bytes:
    return stored if isinstance(stored, bytes) else stored.encode()
