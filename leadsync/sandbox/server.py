"""The sandbox on a socket: uvicorn's HTTP protocol inside the running event loop, on loopback only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .account import Account
from .calls import RequestLog
from .faults import Faults
from .gate import Gate
from .oauth import OAuth
from .replica import Replica
from .routes import application
from .starter import ADMIN_ID
from .switches import Switches

HOST = "127.0.0.1"
_GRACE = 2.0


class _Protocol(H11Protocol):
    """uvicorn's protocol that also lets the application have its connection, so that it can be dropped."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Sandbox:
    """An amoCRM look-alike; `async with Sandbox() as sandbox` serves it until the block ends.

    `data` is a SQLite file that keeps the content between starts (None: in memory only). `port` 0 takes a free one.
    `rate` is requests per second (0: no limit) and wins over `switches.rate`. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int = 0,
        rate: float = 7,
        switches: Switches | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.switches = switches or Switches()
        self.switches.rate = rate
        self.replica = Replica.build(data, self.switches, clock or time.time)
        self.url = ""
        self._port = port
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def account(self) -> Account:
        """What the account holds, for looking and for preparing."""
        return self.replica.account

    @property
    def oauth(self) -> OAuth:
        """The registered client and the tokens."""
        return self.replica.oauth

    @property
    def faults(self) -> Faults:
        """The rules that break things: `sandbox.faults.add("POST /api/v4/leads drop_after p=0.3")`."""
        return self.replica.faults

    @property
    def requests(self) -> RequestLog:
        """What came in, oldest first."""
        return self.replica.log

    def long_lived_token(self) -> str:
        """A token of the administrator that works for years."""
        token = self.oauth.long_lived(ADMIN_ID)
        self.replica.file.flush()
        return token

    async def start(self) -> None:
        """Listens on loopback; OSError when the port is taken."""
        app = Gate(application(self.replica), self.replica)
        config = Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        self._state.default_headers = [(b"server", b"nginx")]
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(config=config, server_state=self._state, app_state={}),
            sock=self.replica.arrivals.listen(HOST, self._port),
        )
        self.url = f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Answers what is under way, then closes every connection and the content file."""
        self.replica.closing.set()
        if self._server is not None:
            self._server.close()
            if self._state.tasks:
                await asyncio.wait(self._state.tasks, timeout=_GRACE)
            for connection in list(self._state.connections):
                cast(H11Protocol, connection).transport.close()
            await self._server.wait_closed()
            await asyncio.sleep(0)  # lets the closed transports say so
            self._server = None
        self.replica.file.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
