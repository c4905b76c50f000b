"""Every row, in the order of the table."""

from __future__ import annotations

from tests.benchmarks import following, memory, new_talks, offline, pace, push, slow_answers, start_up, unchanged
from tests.benchmarks.options import Row

ROWS = {
    one.name: one
    for one in (
        Row("requests", "requests of new talks, beside what other clients need", new_talks.requests),
        Row("wire", "seconds of new talks on the wire, beside their number of requests ÷ 7", new_talks.wire),
        Row("pace", "most requests in any second, and the rate used, with several processes", pace.pace),
        Row("slow-answers", "share of its rate that a run uses with answers of 700 ms", slow_answers.slow_answers),
        Row("unchanged", "talks that did not change, beside a bare loop over them", unchanged.unchanged),
        Row("memory", "most memory of a run, beside that of a hundredth of the talks", memory.memory),
        Row("offline", "dry-run --offline, beside the bare rendering of the same templates", offline.offline),
        Row("start-up", "leadsync --help, beside the import of click and rich", start_up.start_up),
        Row("push", "one push of a new talk: requests on its way, and time that is not amoCRM's", push.push),
        Row("latency", "run --follow: seconds from the XADD of a talk to its lead", following.latency),
    )
}
