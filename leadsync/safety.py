"""Safety: a run that would do more than its limits allow stops before its first write."""

from __future__ import annotations

from contextlib import aclosing

from leadsync.chunks import Selection, raw_records, read_chunks
from leadsync.errors import StartRefused
from leadsync.intake import Intake
from leadsync.project import Connections
from leadsync.state.links import load_links


async def check_safety(connections: Connections, intake: Intake, selection: Selection) -> None:
    """Count the leads that a run would make. Raises StartRefused when they are more than `safety.max_new_leads`."""
    most = connections.project.file.safety.max_new_leads
    if selection.limit is not None and selection.limit <= most:
        return
    if not await _more_than(most, connections, intake):
        return
    new = await _new_leads(connections, intake, selection)
    if new > most:
        raise StartRefused(
            f"this run would make {new} new leads; the limit is {most}",
            where=f"{connections.project.path}: safety.max_new_leads",
            do="look at `leadsync dry-run`, then raise the limit or use --limit",
        )


async def _more_than(most: int, connections: Connections, intake: Intake) -> bool:
    """Whether a source holds more records than that; nothing is parsed for it."""
    count = 0
    async with aclosing(raw_records(connections, intake)) as found:
        async for _ in found:
            count += 1
            if count > most:
                return True
    return False


async def _new_leads(connections: Connections, intake: Intake, selection: Selection) -> int:
    new = 0
    async with aclosing(read_chunks(connections, intake, selection)) as chunks:
        async for chunk in chunks:
            links = await load_links(connections.redis, connections.names, list(chunk.taken))
            new += sum(link.lead_id is None for link in links.values())
    return new
