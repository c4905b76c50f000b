"""Unreadable: what was sealed with a key that is lost, which nobody will read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from leadsync.errors import ConfigurationError
from leadsync.forgetting.held import SEALED, Held, Part
from leadsync.forgetting.stored import Piece, pieces_of
from leadsync.project import Connections
from leadsync.sealing import Seal

SEALED_NAMES = ("token:access", "token:refresh", "refused", "journal")
"""What is stored through a seal."""

BESIDE = {"refused": {"refused-at": "zset", "waiting": "zset"}, "journal": {"looking": "set"}}
"""What is kept by the same fields beside them."""


@dataclass(slots=True)
class SealedValues:
    """How many values the keys of now do not open, and how many would be stored otherwise now: under the first key, or
    plainly."""

    unreadable: int = 0
    older: int = 0


async def sealed_values(connections: Connections) -> SealedValues:
    """Count them. Raises StateUnavailable."""
    values = SealedValues()
    async for piece in _pieces(connections):
        if not _opens(connections.seal, piece):
            values.unreadable += 1
        elif not connections.seal.is_current(piece.values[-1]):
            values.older += 1
    return values


async def unreadable(connections: Connections) -> Held:
    """Everything that the keys of now do not open. Raises StateUnavailable."""
    held = Held()
    async for piece in _pieces(connections):
        if not _opens(connections.seal, piece):
            _add(connections, held, piece)
    return held


async def _pieces(connections: Connections) -> AsyncIterator[Piece]:
    for name in SEALED_NAMES:
        async for piece in pieces_of(connections.redis, connections.names.name(name)):
            yield piece


def _opens(seal: Seal, piece: Piece) -> bool:
    try:
        seal.open(piece.values[-1])
    except ConfigurationError:
        return False
    return True


def _add(connections: Connections, held: Held, piece: Piece) -> None:
    if piece.field is None:
        held.parts.append(Part(SEALED, piece.name))
        return
    held.add(SEALED, piece.name, piece.type, [piece.field])
    for other, kind in BESIDE[piece.name.removeprefix(connections.names.prefix)].items():
        held.add(SEALED, connections.names.name(other), kind, [piece.field], counted=False)
