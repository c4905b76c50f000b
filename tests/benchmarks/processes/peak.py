"""A command of leadsync in a fresh process: `peak.py COMMAND [ARGUMENT…]`; prints its most memory ever, in bytes.

What the command prints goes nowhere.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import redirect_stdout
from pathlib import Path

from leadsync.cli import run_command


def peak() -> int:
    """Bytes of resident memory at the worst moment."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent held before exec
        words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:")).split()
        return int(words[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> int:
    """Run the command; its exit code."""
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        code = run_command(sys.argv[1:])
    print(peak())
    return code


if __name__ == "__main__":
    sys.exit(main())
