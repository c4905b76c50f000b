"""Unreadable: what was sealed with a key that is lost, which nobody will read again."""

from __future__ import annotations

from leadsync.errors import ConfigurationError
from leadsync.forgetting.held import SEALED, Held, Part
from leadsync.forgetting.stored import Piece, names_of, pieces_of
from leadsync.project import Connections
from leadsync.sealing import MARK


async def unreadable(connections: Connections) -> Held:
    """Everything that the keys at hand do not open. Raises StateUnavailable."""
    held = Held()
    async for page in names_of(connections.redis, connections.names):
        for name in page:
            async for piece in pieces_of(connections.redis, name):
                if not all(_opens(connections, one) for one in piece.values):
                    _add(connections, held, piece)
    return held


def _opens(connections: Connections, value: bytes) -> bool:
    if not value.startswith(MARK):
        return True
    try:
        connections.seal.open(value)
    except ConfigurationError:
        return False
    return True


def _add(connections: Connections, held: Held, piece: Piece) -> None:
    if piece.field is None:
        held.parts.append(Part(SEALED, piece.name))
        return
    held.add(SEALED, piece.name, piece.type, [piece.field])
    beside = {"refused": ("refused-at", "zset"), "journal": ("looking", "set")}
    name = piece.name.removeprefix(connections.names.prefix)
    if name in beside:
        other, kind = beside[name]
        held.add(SEALED, connections.names.name(other), kind, [piece.field], counted=False)
