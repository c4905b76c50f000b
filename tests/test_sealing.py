"""Sealing: what the key has closed nobody opens without it, and nothing that was stored before is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from leadsync.errors import ConfigurationError
from leadsync.sealing import PLAIN, Seal, is_key, seal_of

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def seal(*keys: str) -> Seal:
    """The seal of some keys as the variable holds them."""
    return seal_of(SecretStr(" , ".join(keys)))


@given(st.binary())
def test_what_is_closed_opens(value: bytes) -> None:
    """Every value comes back as it was, and what is stored shows nothing of it."""
    ours = seal(NEW)
    stored = ours.close(value)
    assert ours.open(stored) == ours.open(stored.decode()) == value
    assert len(value) < 4 or value not in stored


def test_without_a_key_everything_is_stored_as_it_is() -> None:
    """The same bytes, and a client that decodes its answers gives them too."""
    assert seal_of(None) is PLAIN
    assert PLAIN.close(b'{"a":1}') == PLAIN.open(b'{"a":1}') == PLAIN.open('{"a":1}') == b'{"a":1}'
    assert not PLAIN.is_on


def test_what_was_stored_before_the_key_is_read() -> None:
    """Plain values stay readable; that they are not sealed yet can be told."""
    ours = seal(NEW)
    assert ours.open(b'{"a":1}') == b'{"a":1}'
    assert not ours.is_current(b'{"a":1}')
    assert ours.is_current(ours.close(b"1"))


def test_keys_rotate() -> None:
    """The first key closes, every key opens: what the old one closed is read until it is closed anew."""
    before = seal(OLD).close(b"secret")
    both = seal(NEW, OLD)
    assert both.open(before) == b"secret"
    assert not both.is_current(before)
    after = both.close(both.open(before))
    assert both.is_current(after)
    assert seal(NEW).open(after) == b"secret"


@pytest.mark.parametrize(
    ("without", "said"),
    [(PLAIN, "LEADSYNC_SECRET_KEY is not set"), (seal(NEW), "encrypted with another key than LEADSYNC_SECRET_KEY")],
)
def test_without_its_key_nothing_opens(without: Seal, said: str) -> None:
    """The error names the variable, what to put into it and the way out when the key is lost; it shows no value."""
    stored = seal(OLD).close(b"secret")
    with pytest.raises(ConfigurationError, match=said) as caught:
        without.open(stored)
    told = str(caught.value)
    assert "separated by commas" in told
    assert "leadsync forget --unreadable" in told
    assert stored[20:40].decode() not in told
    assert caught.value.exit_code == 78


def test_a_value_that_was_tampered_with_does_not_open() -> None:
    """One letter changed is as good as another key."""
    ours = seal(NEW)
    stored = bytearray(ours.close(b"secret"))
    stored[-10] ^= 1
    with pytest.raises(ConfigurationError):
        ours.open(bytes(stored))


@given(st.text() | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_a_key_is_told_from_what_is_none(text: str) -> None:
    """The check without `cryptography` says what Fernet itself says."""
    assert is_key(OLD)
    try:
        Fernet(text)
    except ValueError:
        assert not is_key(text)
    else:
        assert is_key(text)


def test_cryptography_is_loaded_for_a_key_only() -> None:
    """Who sets no key does not wait for the package at start-up."""
    look = "import sys, leadsync.cli.run, leadsync.project; print('cryptography.fernet' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
