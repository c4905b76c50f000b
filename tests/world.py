"""A whole world for a test: an amoCRM look-alike on a socket, a real Valkey, and a project folder that knows both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml
from redis.asyncio import Redis

from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.wire import Timeouts
from leadsync.events import Listener, ignore
from leadsync.pipeline import Pipeline
from leadsync.sandbox import Sandbox

QUICK = RetryPolicy(attempts=4, first_wait=0.01, longest_wait=0.05, jitter=0.01)
SHORT = Timeouts(connect=1.0, total=2.0)
REPOSITORY = Path(__file__).parent.parent

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
        token = self.sandbox.long_lived_token()
        (self.folder / ".env").write_text(f"AMOCRM_BASE_URL={self.sandbox.url}\nAMOCRM_ACCESS_TOKEN={token}\n")
        return self.folder / "leadsync.yaml"

    def pipeline(self, listener: Listener = ignore) -> Pipeline:
        """A pipeline of this project that is not patient."""
        path = self.folder / "leadsync.yaml"
        return Pipeline.from_file(path, listener=listener, retry=QUICK, timeouts=SHORT)

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
