"""The text of a new mapping, made from the account's own pipelines, users and fields. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from leadsync.amocrm.catalogue import LOST, WON, Catalogue, Pipeline, Status
from leadsync.newproject.field_lines import FieldLines
from leadsync.newproject.guesses import Guesses
from leadsync.newproject.references import (
    Reference,
    field_reference,
    pipeline_reference,
    status_reference,
    user_reference,
)
from leadsync.newproject.wording import Wording
from leadsync.newproject.yaml_text import listed, quoted, remarked

SCHEMA_LINE = "# yaml-language-server: $schema=../.leadsync/mapping.schema.json"

_SHOWN_USERS = 4
_HEAD = """
# What one talk becomes in amoCRM. {{ … }} takes something from the talk: id, source, user_name, phone, email,
# product_interest, budget, messages, conversation_history, updated_at, and metadata.ANYTHING. What is not there is not
# sent. After an edit: `leadsync validate`, then `leadsync dry-run` shows what would change.
"""


def mapping_text(catalogue: Catalogue, guesses: Guesses, wording: Wording) -> str:
    """A mapping file that the account understands as it is."""
    parts = (
        [SCHEMA_LINE, *_HEAD.splitlines(), ""],
        _record(catalogue, guesses, wording),
        [""],
        _contact(catalogue, guesses, wording),
        [""],
        _lead(catalogue, guesses, wording),
        [""],
        _note(wording),
    )
    return "".join(f"{line}\n" for part in parts for line in part)


def _record(catalogue: Catalogue, guesses: Guesses, wording: Wording) -> Iterator[str]:
    yield remarked('key: "{{ source }}:{{ id }}"', "the talk's identity: one key, one lead, for ever")
    if guesses.key_field is not None:
        written = field_reference(catalogue, guesses.key_field)
        yield remarked(f"key_field: {written.written}", written.remark or "a text field of the lead that holds the key")
    else:
        yield "# With a text field of the lead that holds the key, the account itself knows which talks it has, even"
        yield "# after Redis lost everything. Make one in the settings of a lead's card, then take the # away:"
        yield remarked(f"# key_field: {quoted(wording.key_field)}", "the name you gave that field")
    yield remarked('# when: "{{ phone or email }}"', "skip talks for which this gives nothing")


def _contact(catalogue: Catalogue, guesses: Guesses, wording: Wording) -> Iterator[str]:
    yield remarked("contact:", "the person; only made when there is a phone or an e-mail")
    yield remarked("  match: [phone, email]", "how somebody who is in the account already is recognised")
    yield f"  name: \"{{{{ user_name or '{wording.customer}' }}}}\""
    yield remarked('  phone: "{{ phone or messages | find_phone }}"', "or the first phone the client wrote")
    yield '  email: "{{ email or messages | find_email }}"'
    yield from FieldLines(catalogue, "contacts", guesses.templates).lines()


def _lead(catalogue: Catalogue, guesses: Guesses, wording: Wording) -> Iterator[str]:
    product = "{% if product_interest %} ({{ product_interest }}){% endif %}"
    yield "lead:"
    yield f"  name: \"{wording.lead_from} {{{{ user_name or '{wording.somebody}' }}}}{product}\""
    yield remarked('  price: "{{ budget | money }}"', "`money` reads 150 000 ₽ and 1,5 млн")
    yield from _stage(catalogue)
    yield from _responsible(catalogue)
    yield remarked('  tags: ["{{ source }}"]', 'several: [bot, "{{ source }}"]')
    yield from FieldLines(catalogue, "leads", guesses.templates, guesses.key_field).lines()


def _stage(catalogue: Catalogue) -> Iterator[str]:
    """The main pipeline and its first working stage, with what else there is."""
    living = [one for one in catalogue.pipelines if not one.is_archive]
    pipeline = next((one for one in living if one.is_main), next(iter(living), None))
    if pipeline is None:
        yield remarked('  # pipeline: "…"', "this token sees no pipelines; leads go to the main one")
        return
    yield _choice("pipeline", pipeline_reference(catalogue, pipeline), [one.name for one in living if one != pipeline])
    working = working_statuses(pipeline)
    if working:
        others = [one.name for one in working[1:]]
        yield _choice("status", status_reference(catalogue, pipeline, working[0]), others)


def working_statuses(pipeline: Pipeline) -> list[Status]:
    """The stages a lead can be worked on in: not the unsorted one, not won, not lost."""
    return [one for one in pipeline.statuses if one.type == 0 and one.id not in (WON, LOST)]


def _choice(key: str, chosen: Reference, others: list[str]) -> str:
    more = f"others: {listed(others, 60)}" if others else ""
    return remarked(f"  {key}: {chosen.written}", "; ".join(part for part in (chosen.remark, more) if part))


def _responsible(catalogue: Catalogue) -> Iterator[str]:
    """The first users as something to uncomment: e-mails that amoCRM knows."""
    known = [user_reference(catalogue, one) for one in catalogue.users if one.is_active]
    if not known:
        yield remarked('  # responsible: "…"', "e-mail, name or id of a user; else whose token it is")
        return
    others = [f"{one.written} ({one.remark})" if one.remark else one.written for one in known[1:_SHOWN_USERS]]
    more = ["`leadsync fields` lists everybody"] if len(known) > _SHOWN_USERS else []
    first = known[0].remark
    told = "; ".join(part for part in (first, f"others: {listed(others)}" if others else "", *more) if part)
    yield remarked(f"  # responsible: {known[0].written}", told)


def _note(wording: Wording) -> Iterator[str]:
    yield remarked("note: |", "later notes of the same talk hold what is new")
    yield f"  {{{{ '{wording.continued}' if continued else '{wording.history}' }}}}:"
    yield "  {% for m in messages %}"
    yield "  {{ m.at | datetime }} {{ m.role }}: {{ m.text }}"
    yield "  {% endfor %}"
