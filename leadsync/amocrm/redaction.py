"""Texts and addresses that may be shown: what the CRM said without the values it quotes, routes without ids."""

from __future__ import annotations

import re

LONGEST_SHOWN = 200
"""Characters of one shown text."""

_CUT = re.compile(
    r"https?://\S+"
    r"|\"[^\"]*\"|«[^»]*»|“[^”]*”|'[^']*'"
    r"|\S+@\S+"
    r"|\+?[0-9][0-9()\s-]{4,}[0-9]"
)
_ID = re.compile(r"/[0-9]+(?=/|$)")


def without_values(text: str) -> str:
    """A text of the CRM without addresses, quoted parts, e-mails and long numbers, at most 200 characters.

    >>> without_values('The value "Иван" is too long')
    'The value … is too long'
    """
    return _CUT.sub("…", text[: 10 * LONGEST_SHOWN])[:LONGEST_SHOWN]


def route_of(path: str) -> str:
    """The path of a request as shown and counted: without `/api/v4`, ids replaced.

    >>> route_of("/api/v4/leads/42/notes")
    '/leads/{id}/notes'
    """
    return _ID.sub("/{id}", path.partition("/api/v4")[2] or path)
