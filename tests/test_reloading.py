"""Who asks for new files gets an answer, and what was written last counts."""

from __future__ import annotations

import asyncio

import pytest

from leadsync.errors import AmoCRMUnavailable, ConfigurationError, Place, Problem, StartRefused
from leadsync.reloading import USED, Reloading


class Files:
    """Files that take as long to read as a test wants, and fail as it wants."""

    def __init__(self) -> None:
        self.read = 0
        self.errors: list[Exception] = []
        self.remarks: list[str] = []
        self.said: list[str] = []
        self.door = asyncio.Event()
        self.door.set()
        self._moved = asyncio.Event()
        self.reloading = Reloading(self._reload, self._hear)

    async def _reload(self) -> list[str]:
        self.read += 1
        self._moved.set()
        await self.door.wait()
        if self.errors:
            raise self.errors.pop(0)
        return self.remarks

    def _hear(self, what: str) -> None:
        self.said.append(what)
        self._moved.set()

    async def until(self, *, read: int = 0, said: int = 0) -> None:
        """Return once they were read, and something was said, so often."""
        async with asyncio.timeout(20):
            while self.read < read or len(self.said) < said:
                self._moved.clear()
                await self._moved.wait()


async def test_asked_during_a_reading() -> None:
    """However often it is asked while it reads, it reads once more after it: the files may have changed since."""
    files = Files()
    files.door.clear()
    async with files.reloading as reloading:
        reloading.ask()
        await files.until(read=1)
        for _ in range(3):
            reloading.ask()
        files.door.set()
        await files.until(said=2)
    assert (files.read, files.said) == (2, [USED, USED])


async def test_asked_before_it_begins() -> None:
    """Who asks before there is anything to take the place of is heard when there is."""
    files = Files()
    files.reloading.ask()
    assert files.read == 0
    async with files.reloading:
        await files.until(said=1)
    assert files.said == [USED]


async def test_what_there_is_to_say_of_new_files() -> None:
    """Remarks come behind the word that the files are used."""
    files = Files()
    files.remarks.append("this is another Redis")
    async with files.reloading as reloading:
        reloading.ask()
        await files.until(said=2)
    assert files.said == [USED, "this is another Redis"]


WRONG = ConfigurationError("the files cannot be used", problems=[Problem("no such key", Place("mapping.yaml", 3, 5))])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WRONG, "not used, the old ones stay: the files cannot be used\nmapping.yaml:3:5: no such key"),
        (StartRefused("too many leads", do="look at the plan"), "not used, the old ones stay: too many leads"),
        (AmoCRMUnavailable("amoCRM is away"), "cannot be tried now, the old ones stay: amoCRM is away"),
        (KeyError("+79161234567"), "not used, the old ones stay: KeyError, a mistake"),
    ],
)
async def test_files_that_are_not_used(error: Exception, said: str) -> None:
    """Each failure is told, without what a mistake of a program quotes, and the next time it is tried again."""
    files = Files()
    files.errors.append(error)
    async with files.reloading as reloading:
        reloading.ask()
        await files.until(said=1)
        assert said in files.said[0]
        assert "+7916" not in files.said[0]
        reloading.ask()
        await files.until(said=2)
    assert files.said[1:] == [USED]


async def test_at_the_end() -> None:
    """A service that is about to end reads nothing any more, and says so."""
    files = Files()
    async with files.reloading as reloading:
        reloading.leave()
        reloading.ask()
        await files.until(said=1)
    assert (files.read, files.said) == (0, ["the service is ending: the files are not read again"])


async def test_the_end_breaks_a_reading_off() -> None:
    """What takes long to read keeps no service from ending."""
    files = Files()
    files.door.clear()
    async with files.reloading as reloading:
        reloading.ask()
        await files.until(read=1)
    assert files.said == []
