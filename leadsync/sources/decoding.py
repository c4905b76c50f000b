"""Bytes → JSON → Record, with every way it may fail told as an UnreadableRecord that shows nothing of the data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from leadsync.errors import UnreadableRecord
from leadsync.records import Record

FINGERPRINT_SIZE = 16

_JSON_STARTS = ("{", "[", '"')
_JSON_WORDS = frozenset({"true", "false", "null"})
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?")
_TOO_DEEP = re.compile(r"recursion|depth|nest", re.IGNORECASE)


def decode_json(raw: bytes) -> Any:
    """Decode one JSON document. Raises UnreadableRecord, which says at which line and column it breaks."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if b"\\ud" in raw.lower() and (whole := _with_whole_characters(raw)) is not None:
            return whole
        what, do = _explained(error)
    raise UnreadableRecord(what, do=do)  # outside of the block: the first error holds the document


def decode_text(raw: bytes) -> str:
    """Decode UTF-8. Raises UnreadableRecord."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        at = error.start
    raise UnreadableRecord(f"byte {at} is not UTF-8", do="write the talk as UTF-8")


def json_or_text(text: str) -> Any:
    """A value that may be JSON or plain text; a number is JSON when it can be written back unchanged."""
    bare = text.strip()
    if bare.startswith(_JSON_STARTS) or bare in _JSON_WORDS or _NUMBER.fullmatch(bare):
        try:
            return decode_json(bare.encode())
        except UnreadableRecord:
            return text
    return text


def record_of(raw: Mapping[str, Any], zone: ZoneInfo, source: str, place: str) -> Record:
    """A record of decoded data; what is wrong with it is told with its place."""
    try:
        return Record.from_mapping(raw, zone=zone, default_source=source)
    except UnreadableRecord as error:
        raise placed(error, place) from None


def placed(error: UnreadableRecord, place: str) -> UnreadableRecord:
    """The same error, with where the record was found."""
    return UnreadableRecord(error.what, field=error.field, where=place, do=error.do)


def fingerprint(*parts: bytes) -> bytes:
    """16 bytes that change with any byte of the parts and with where one part ends."""
    digest = blake2b(digest_size=FINGERPRINT_SIZE)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def _with_whole_characters(raw: bytes) -> Any:
    """JSON in which a bot cut an emoji in two (`"\\ud83d"`): the half becomes a question mark. None if no JSON."""
    try:
        return orjson.loads(json.dumps(json.loads(raw), ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _explained(error: orjson.JSONDecodeError) -> tuple[str, str]:
    reason = error.msg.partition(":")[0]
    if _TOO_DEEP.search(reason):
        return "the JSON is nested too deeply", "write the record with less nesting, or leave the part out"
    where = f"line {error.lineno}, column {error.colno}"
    return f"this is not JSON: {reason} ({where})", "write the record as one JSON object in UTF-8"
