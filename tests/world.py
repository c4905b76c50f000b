"""A whole world for a test: an amoCRM look-alike on a socket, a real Valkey, and a project folder that knows both."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from redis.asyncio import Redis

from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.tokens import TokenStore
from leadsync.amocrm.wire import Timeouts
from leadsync.config.loader import load_project
from leadsync.events import Listener, ignore
from leadsync.pipeline import Pipeline
from leadsync.project import connect
from leadsync.sandbox import Sandbox
from leadsync.sandbox.starter import ADMIN_ID
from leadsync.state.namespace import Namespace
from leadsync.state.refused import Refused, RefusedRecords
from leadsync.sync.results import RunReport

QUICK = RetryPolicy(attempts=4, first_wait=0.01, longest_wait=0.05, jitter=0.01)
SHORT = Timeouts(connect=1.0, total=2.0)
SETTLE = 0.2
"""Seconds: the look-alike applies what it gets at once, only its answers come late."""

REPOSITORY = Path(__file__).parent.parent
NAMES = Namespace("firm.amocrm.ru")

MAPPING = {
    "key": "{{ source }}:{{ id }}",
    "contact": {"name": "{{ user_name }}", "phone": "{{ phone }}", "email": "{{ email }}"},
    "lead": {
        "name": "Заявка от {{ user_name }}{% if product_interest %} ({{ product_interest }}){% endif %}",
        "price": "{{ budget }}",
        "pipeline": "Воронка",
        "status": "Первичный контакт",
        "fields": {"Источник": "{{ source | lookup('source_names') }}", "Продукт": "{{ product_interest }}"},
    },
    "note": "{% for m in messages %}{{ m.role }}: {{ m.text }}\n{% endfor %}",
}

TABLES = {"source_names": {"telegram": "Telegram Bot", "avito": "Avito Messenger", "web": "Веб-чат"}}


def talk(id_: str = "1", *texts: str, **fields: Any) -> dict[str, Any]:
    """A record of a Telegram talk; `texts` are what the customer wrote, a minute apart."""
    messages = [
        {"role": "user", "text": text, "at": f"2026-11-01T10:{minute:02}:00+03:00"}
        for minute, text in enumerate(texts or ("Здравствуйте",))
    ]
    return {"id": id_, "source": "telegram", "user_name": "Иван", "messages": messages} | fields


@dataclass(slots=True)
class World:
    """What a test needs to play a bot, a person who edits YAML, and a person in the CRM."""

    sandbox: Sandbox
    redis: Redis
    redis_url: str
    folder: Path

    def write(self, mapping: Mapping[str, Any] = MAPPING, **project: Any) -> Path:
        """Write leadsync.yaml with one mapping for every source, and a .env that leads to this world."""
        amocrm = {"subdomain": "firm", "requests_per_second": 1000} | project.pop("amocrm", {})
        source = {"type": "redis-dialogs", "match": "dialog:*", "mapping": "mapping.yaml"}
        data = {
            "version": 1,
            "amocrm": amocrm,
            "redis": {"url": self.redis_url},
            "tables": TABLES,
            "sources": {"redis-dialogs": source},
        } | project
        (self.folder / "leadsync.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        (self.folder / "mapping.yaml").write_text(
            yaml.safe_dump(dict(mapping), allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
        self.settings(AMOCRM_ACCESS_TOKEN=self.sandbox.long_lived_token())
        return self.folder / "leadsync.yaml"

    def use_sample(self) -> None:
        """Take the files that are shipped, with no patience for their limit of requests."""
        shutil.copytree(REPOSITORY / "mappings", self.folder / "mappings")
        shipped = (REPOSITORY / "leadsync.yaml").read_text(encoding="utf-8")
        assert "requests_per_second: 6.5" in shipped
        quick = shipped.replace("requests_per_second: 6.5", "requests_per_second: 1000")
        (self.folder / "leadsync.yaml").write_text(quick, encoding="utf-8")
        token = self.sandbox.long_lived_token()
        self.settings(AMOCRM_SUBDOMAIN="firm", REDIS_URL=self.redis_url, AMOCRM_ACCESS_TOKEN=token)

    def settings(self, **values: str) -> None:
        """Write the .env: where the CRM is, and these."""
        lines = {"AMOCRM_BASE_URL": self.sandbox.url} | values
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def integration(self) -> dict[str, str]:
        """The settings of the integration that the account knows, in place of a long-lived token."""
        oauth = self.sandbox.oauth
        return {
            "AMOCRM_CLIENT_ID": oauth.client_id,
            "AMOCRM_CLIENT_SECRET": oauth.client_secret,
            "AMOCRM_REDIRECT_URI": oauth.redirect_uri,
        }

    async def log_in(self) -> None:
        """Use the integration, and do what a person does once: bring the code of the consent page."""
        self.settings(**self.integration())
        async with connect(load_project(self.folder / "leadsync.yaml"), ignore, retry=QUICK) as connections:
            assert connections.oauth is not None
            await connections.oauth.exchange(self.sandbox.oauth.code(ADMIN_ID))

    @property
    def tokens(self) -> TokenStore:
        """Where this project's tokens lie."""
        return TokenStore(self.redis, NAMES.prefix)

    async def access_token(self) -> str:
        """The access token that is stored now."""
        stored = await self.tokens.load()
        assert stored is not None
        assert stored.access_token is not None
        return stored.access_token

    async def refused(self) -> list[Refused]:
        """The refused records that are kept, the oldest first."""
        return await RefusedRecords(self.redis, NAMES).all()

    async def run(self, listener: Listener = ignore) -> RunReport:
        """One run of the project's only source."""
        async with self.pipeline(listener) as pipeline:
            return await pipeline.run()

    def pipeline(self, listener: Listener = ignore) -> Pipeline:
        """A pipeline of this project that is not patient."""
        path = self.folder / "leadsync.yaml"
        return Pipeline.from_file(path, listener=listener, retry=QUICK, timeouts=SHORT, settle=SETTLE)

    async def store(self, talks: Iterable[Mapping[str, Any]]) -> None:
        """Write talks as string keys, as a bot would."""
        for one in talks:
            await self.redis.set(f"dialog:{one['id']}", orjson.dumps(one))

    def leads(self) -> list[dict[str, Any]]:
        """The account's leads as the API shows them, oldest first, each with `fields` (name → text) and `contacts`."""
        account = self.sandbox.account
        bodies = [self._shown(one) for one in sorted(account.leads, key=lambda one: one.id)]
        for body in bodies:
            body["contacts"] = [end[1] for end, _ in account.links.of(("leads", body["id"]), "contacts")]
        return bodies

    def contacts(self) -> list[dict[str, Any]]:
        """The account's contacts, oldest first, each with `fields`, a phone's and e-mail's by their code."""
        return [self._shown(one) for one in sorted(self.sandbox.account.contacts, key=lambda one: one.id)]

    def notes(self) -> list[tuple[int, str]]:
        """Every note of every lead: (lead id, text), oldest first."""
        notes = sorted(self.sandbox.account.notes["leads"], key=lambda one: one.id)
        return [(one.entity_id, one.facts["params"]["text"]) for one in notes]

    def _shown(self, entity: Any) -> dict[str, Any]:
        account = self.sandbox.account
        body: dict[str, Any] = entity.shown(account.fields[entity.kind], account.id)
        values = body["custom_fields_values"] or []
        body["fields"] = {
            one["field_code"] or one["field_name"]: ", ".join(str(value["value"]) for value in one["values"])
            for one in values
        }
        return body

    def requests(self, method: str | None = None, path: str | None = None) -> list[Any]:
        """What reached the CRM, of a method and a path."""
        return [
            one
            for one in self.sandbox.requests
            if (method is None or one.method == method) and (path is None or one.path == path)
        ]

    def writes(self) -> list[Any]:
        """The requests that were to change something."""
        return [one for one in self.sandbox.requests if one.method != "GET"]
