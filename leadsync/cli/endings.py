"""How a command can end before its work is done, with the exit codes that a shell shows for it."""

from __future__ import annotations

INTERRUPTED_EXIT = 130
"""128 + SIGINT."""

READER_GONE_EXIT = 141
"""128 + SIGPIPE. The signal itself stays ignored, as Python sets it: it would also end us at a socket that closed."""

TERMINATED_EXIT = 143
"""128 + SIGTERM."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, and everything that was open is closed by now."""


class ReaderGone(Exception):
    """Whoever read stdout has ended, as in `leadsync dry-run | head -1`."""
