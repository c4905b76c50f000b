"""From a path to text: only a regular file, of a bounded size, in UTF-8."""

from __future__ import annotations

import codecs
import re
import stat
from pathlib import Path

from leadsync.config.file_lines import FileLines
from leadsync.errors import Place, Problem

MAX_BYTES = 1 << 20
"""1 MiB: a hundred times a large configuration, and still read in seconds."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # as YAML 1.1 has it
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SAVE = "save the file as UTF-8"


class Unreadable(Exception):
    """The file gives no text; `problem` says why, placed in that file (line 0: the file as a whole)."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.what)
        self.problem = problem


def shown_path(path: Path) -> str:
    """The path as messages write it: relative to the current folder when it lies inside."""
    try:
        return str(path.relative_to(Path.cwd())) if path.is_absolute() else str(path)
    except (OSError, ValueError):
        return str(path)


def read_lines(path: Path) -> FileLines:
    """The text of a file with its lines. Raises Unreadable."""
    name = shown_path(path)
    raw = _bytes(path, name)
    text = _decoded(raw, name)
    lines = FileLines(name, text)
    if found := _UNPRINTABLE.search(text):
        what = f"a control character (U+{ord(found[0]):04X}) stands here: this is no text file"
        if found[0] == "\0":
            what = "a zero byte stands here: this is a binary file or UTF-16, not a text in UTF-8"
        raise Unreadable(lines.problem(what, lines.at_offset(found.start()), f"remove it, or {_SAVE}"))
    return lines


def _bytes(path: Path, name: str) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
            return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte or half a character in the path
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else _reason(error)
        raise Unreadable(Problem(reason, Place(name), do="check the path, and that you may read it")) from None
    if stat.S_ISDIR(status.st_mode):
        raise Unreadable(Problem("this is a folder, not a file", Place(name), do="name a file in it"))
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(Problem("this is no regular file", Place(name), do="name a file"))
    what = f"the file has {status.st_size} bytes, more than the {MAX_BYTES} (1 MiB) that are read"
    raise Unreadable(Problem(what, Place(name), do="is it the right file? Otherwise make it smaller"))


def _reason(error: OSError | ValueError) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return f"the file cannot be read: {text.lower()}" if text else "the file cannot be read: its path is not valid"


def _decoded(raw: bytes, name: str) -> str:
    if raw.startswith(_UTF16):
        raise Unreadable(Problem("the file is in UTF-16, not in UTF-8", Place(name, 1, 1), do=_SAVE))
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        lines = FileLines(name, raw[: error.start].decode())
        place = lines.at_offset(len(lines.text))
        what = f"byte 0x{raw[error.start]:02X} is not UTF-8: the file is in another encoding (Windows-1251?)"
        raise Unreadable(Problem(what, place, lines.around(place), _SAVE)) from None
