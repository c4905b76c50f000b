"""The page on which a login ends in somebody's browser."""

from __future__ import annotations

from html import escape

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""For every answer at a callback: its address holds a code, which nobody may keep or be told."""

_PAGE = """<!doctype html>
<html lang="ru"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>leadsync</title><link rel="icon" href="data:,">
<style>body{{font:18px/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1rem;color:#222}}
h1{{font-size:1.6rem}}p{{color:#666}}
@media(prefers-color-scheme:dark){{body{{background:#181818;color:#eee}}p{{color:#aaa}}}}</style></head>
<body><h1>{title}</h1><p lang="en">{text}</p></body></html>
"""


def login_page(title: str, text: str) -> str:
    """The page as HTML; both texts are escaped."""
    return _PAGE.format(title=escape(title), text=escape(text))
