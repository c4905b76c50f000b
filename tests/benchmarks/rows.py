"""Every row, in the order of the table."""

from __future__ import annotations

from tests.benchmarks import new_talks, pace
from tests.benchmarks.options import Row

ROWS = {
    one.name: one
    for one in (
        Row("requests", "requests of new talks, beside what other clients need", new_talks.requests),
        Row("wire", "seconds of new talks on the wire, beside their number of requests ÷ 7", new_talks.wire),
        Row("pace", "most requests in any second, and the rate used, with several processes", pace.pace),
    )
}
