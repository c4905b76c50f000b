"""Owners: who works on an account, and whether they live.

An owner proves that it lives by a key that expires; on its own machine a process that died is recognised at once, so
that a crashed run can be started again without waiting.
"""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from uuid import uuid4


def new_owner() -> str:
    """A name for this process that no other process has: machine, process id, start of the process, a random part."""
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}/{uuid4().hex[:8]}"


def surely_dead(owner: str) -> bool:
    """Whether an owner was a process of this machine that is gone."""
    machine, pid, started, _ = owner.split("/")
    return machine == _machine() and _started(int(pid)) != started


def process_of(owner: str) -> tuple[bool, str, int]:
    """Whether an owner is of this machine, which machine it is of, and its process id."""
    machine, pid, _, _ = owner.split("/")
    return machine == _machine(), machine, int(pid)


def _machine() -> str:
    """This machine and process namespace, so that a process id means something."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:18]}-{os.stat('/proc/self/ns/pid').st_ino}"
    return platform.node()


def _started(pid: int) -> str | None:
    """When a process of this machine started, in clock ticks; None when there is none, "?" where nobody can tell."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _signalled(pid)
    except OSError:
        return None
    # A zombie is dead: only whoever started it has not asked for its end yet.
    return None if facts[0] in "ZX" else facts[19]


def _signalled(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return "?"
    return "?"
