"""What stands beside the two YAML files: `.env.example` and the lines of `.gitignore`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from leadsync.sealing import MAKE_ONE
from leadsync.settings import Settings

IGNORED = (".env", ".leadsync/")
"""What must not get into git: secrets, and the embedded servers' data."""

_COMMENTS = {
    "AMOCRM_SUBDOMAIN": "The account: `example` of https://example.amocrm.ru. Empty: the one in leadsync.yaml.",
    "AMOCRM_ACCESS_TOKEN": (
        "A long-lived token: in amoCRM open amoМаркет, the integration of your own, «Ключи и доступы».\n"
        "It is enough by itself. The other way is OAuth: the next three, then `leadsync auth login`."
    ),
    "AMOCRM_CLIENT_ID": "The integration's id (ID интеграции).",
    "AMOCRM_CLIENT_SECRET": "The integration's secret key (Секретный ключ).",
    "AMOCRM_REDIRECT_URI": (
        "Where the browser goes after the login: exactly as in the integration's card.\n"
        "http://localhost:8400/callback lets leadsync finish the login by itself."
    ),
    "REDIS_URL": "Your Redis, as redis://[USER:PASSWORD@]HOST[:PORT][/DB]. Empty: the one in leadsync.yaml.",
    "AMOCRM_BASE_URL": "Another address in place of https://SUBDOMAIN.DOMAIN: a proxy, a test server.",
    "LEADSYNC_CONFIG": "Another file than ./leadsync.yaml.",
    "LEADSYNC_API_KEY": "What callers of the HTTP service must show.",
    "LEADSYNC_WEBHOOK": "An address that is called when a service gets into trouble, out of it, or needs a login.",
    "LEADSYNC_SECRET_KEY": (
        "Encrypts tokens and refused records in Redis. Make a key with\n"
        f"{MAKE_ONE}\n"
        "Several, with commas between, make a rotation: the first encrypts, all decrypt."
    ),
}


def env_example() -> str:
    """`.env.example`: every variable with what it is for, and no value."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield "# Copy this file to .env and fill in what you need; an empty value counts as not set."
    yield "# leadsync only reads .env, and the environment goes before it. Keep .env out of git."
    known = {name.upper(): field.description or "" for name, field in Settings.model_fields.items()}
    for name in (*_COMMENTS, *(other for other in known if other not in _COMMENTS)):
        if name in known:
            yield ""
            yield from (f"# {line}" for line in _COMMENTS.get(name, known[name]).splitlines())
            yield f"{name}="


def gitignore(existing: str) -> str | None:
    """The text of `.gitignore` with our lines added; None when they stand there already."""
    present = {line.strip().lstrip("/").rstrip("/") for line in existing.splitlines()}
    missing = [one for one in IGNORED if one.rstrip("/") not in present]
    if not missing:
        return None
    before = existing if not existing or existing.endswith("\n") else f"{existing}\n"
    return before + "".join(f"{one}\n" for one in missing)
