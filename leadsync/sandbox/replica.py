"""Everything one sandbox consists of, but for the socket: what the routes are given to work with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import starter
from .account import Account
from .arrivals import Arrivals
from .calls import RequestLog
from .faults import Faults
from .limits import Limiter
from .oauth import OAuth
from .storage import ContentFile
from .switches import Switches


@dataclass(slots=True)
class Replica:
    """One look-alike: its account, tokens, switches, faults, log and limiter. `closing` is set when it goes down."""

    account: Account
    oauth: OAuth
    switches: Switches
    faults: Faults
    log: RequestLog
    limiter: Limiter
    file: ContentFile
    arrivals: Arrivals = field(default_factory=Arrivals)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def build(cls, data: Path | None, switches: Switches, clock: Callable[[], float]) -> Replica:
        """A replica with the content of a file, or with the starter's. `clock` gives Unix seconds."""
        file = ContentFile(data)
        account = Account(starter.content(), file, clock)
        oauth = OAuth(file, switches, clock, account.id)
        return cls(account, oauth, switches, Faults(), RequestLog(), Limiter(switches, time.monotonic), file)

    def reset(self) -> None:
        """Back to the start: content, switches, faults, log. Tokens go on working, so that clients can stay."""
        self.account.reset(starter.content())
        self.switches.reset()
        self.faults.clear()
        self.log.clear()
        self.limiter.clear()
