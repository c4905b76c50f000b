"""`/_sandbox/…`: strings to pull, for tests and for people; only from this machine, and never logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from starlette.responses import Response

from .batches import check_all
from .calls import Call
from .entities import KINDS
from .faults import FaultRule
from .refusals import Refused
from .replica import Replica
from .rules import Checker
from .seeding import seed
from .starter import ADMIN_ID
from .writing import change


def show_requests(replica: Replica, call: Call) -> Response:
    """`GET requests`: total, counts by method and path, and the last `limit` (default 100) requests."""
    limit = int(call.param("limit")) if call.param("limit").isdecimal() else 100
    last = list(replica.log)[-limit:] if limit else []
    counts = dict(replica.log.counts)
    return _json({"total": replica.log.total, "counts": counts, "requests": [entry.shown() for entry in last]})


def clear_requests(replica: Replica, call: Call) -> Response:
    """`DELETE requests`: forgets them."""
    replica.log.clear()
    return _json({})


def show_switches(replica: Replica, call: Call) -> Response:
    """`GET switches`: all of them."""
    return _json(replica.switches.as_dict())


def turn_switches(replica: Replica, call: Call) -> Response:
    """`PUT switches`: turns those that are named."""
    _attempt(lambda: replica.switches.update(_body(call)))
    return _json(replica.switches.as_dict())


def show_faults(replica: Replica, call: Call) -> Response:
    """`GET faults`: the rules in force with their counts."""
    return _json(replica.faults.shown())


def add_fault(replica: Replica, call: Call) -> Response:
    """`POST faults`: `{"rule": "POST /api/v4/leads drop_after p=0.3"}`, or the parts of a rule by name."""
    body = _body(call)
    _attempt(lambda: replica.faults.add(body["rule"] if "rule" in body else FaultRule(**body)))
    return _json(replica.faults.shown())


def clear_faults(replica: Replica, call: Call) -> Response:
    """`DELETE faults`: no rule is in force any more."""
    replica.faults.clear()
    return _json([])


def edit(replica: Replica, call: Call) -> Response:
    """`POST edit`: a person changes an entity by hand: `{entity, id, by?, …}` with the keys of a PATCH item."""
    body = _body(call)
    kind, by = _kind(body), body.pop("by", ADMIN_ID)
    entity = replica.account.shelves[kind].get(body.get("id"))
    if entity is None:
        raise Refused(404, {"error": f"no such entity among {kind}"})
    (draft,) = check_all([body], Checker(replica.account, kind, new=False))
    draft.facts["updated_by"] = by
    change(replica.account, entity, draft, by)
    return _json(entity.shown(replica.account.fields[kind], replica.account.id))


def delete(replica: Replica, call: Call) -> Response:
    """`POST delete`: a person deletes an entity: `{entity, id}`."""
    body = _body(call)
    kind = _kind(body)
    if body.get("id") not in replica.account.shelves[kind]:
        raise Refused(404, {"error": f"no such entity among {kind}"})
    replica.account.remove(kind, body["id"])
    return _json({})


def sow(replica: Replica, call: Call) -> Response:
    """`POST seed`: `{contacts: N, leads: M, seed: S}` makes up people and leads; answers their ids."""
    body = _body(call)
    contacts, leads = seed(replica.account, body.get("contacts", 0), body.get("leads", 0), body.get("seed", 1))
    return _json({"contacts": contacts, "leads": leads})


def reset(replica: Replica, call: Call) -> Response:
    """`POST reset`: content, switches, faults and log as at the start; tokens go on working."""
    replica.reset()
    return _json({})


def tokens(replica: Replica, call: Call) -> Response:
    """`POST token`: `{issue: pair|long_lived|code, user_id?, life?}`, `{expire}`, `{revoke}`, `{revoke_all: true}`."""
    body, oauth = _body(call), replica.oauth
    user_id = body.get("user_id", ADMIN_ID)
    if body.get("revoke_all"):
        oauth.revoke_all()
        return _json({})
    for name, end in (("expire", oauth.expire), ("revoke", oauth.revoke)):
        if name in body:
            if not end(body[name]):
                raise Refused(404, {"error": "no such token"})
            return _json({})
    return _json(_issued(replica, body, user_id))


def _issued(replica: Replica, body: dict[str, Any], user_id: int) -> dict[str, Any]:
    oauth, what = replica.oauth, body.get("issue", "pair")
    if what == "pair":
        return oauth.pair(user_id)
    if what == "code":
        return {"code": oauth.code(user_id)}
    if what == "long_lived":
        return {"token": oauth.long_lived(user_id, body["life"]) if "life" in body else oauth.long_lived(user_id)}
    raise Refused(400, {"error": "issue is one of pair, long_lived, code"})


def register(replica: Replica, call: Call) -> Response:
    """`PUT client`: registers other `client_id`, `client_secret` or `redirect_uri`; answers all three."""
    oauth, body = replica.oauth, _body(call)
    for key in ("client_id", "client_secret", "redirect_uri"):
        setattr(oauth, key, str(body.get(key, getattr(oauth, key))))
    return _json(
        {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "redirect_uri": oauth.redirect_uri}
    )


def dump(replica: Replica, call: Call) -> Response:
    """`GET dump`: the whole content, entities as they read."""
    account = replica.account
    shelves: dict[str, Any] = {
        kind: [
            {**entity.shown(account.fields[kind], account.id), "tags": [account.tags[id].name for id in entity.tags]}
            for entity in account.shelves[kind]
        ]
        for kind in KINDS
    }
    shelves["notes"] = {kind: [note.shown(account.id) for note in account.notes[kind]] for kind in KINDS}
    shelves["links"] = [link.stored() for link in account.links.all()]
    return _json({"account": account.info, **shelves})


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def _body(call: Call) -> dict[str, Any]:
    try:
        body = orjson.loads(call.body or b"{}")
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, {"error": "the body must be a JSON object"})
    return body


def _kind(body: dict[str, Any]) -> str:
    kind = body.pop("entity", None)
    if kind not in KINDS:
        raise Refused(400, {"error": f"entity is one of {', '.join(KINDS)}"})
    return str(kind)


def _attempt(step: Callable[[], object]) -> None:
    try:
        step()
    except (ValueError, TypeError) as error:
        raise Refused(400, {"error": str(error)}) from None
