"""Every address the sandbox answers, and what happens to those it does not know."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import routes_control as control
from . import routes_entities as entities
from . import routes_events as events
from . import routes_fields as fields
from . import routes_links as links
from . import routes_notes as notes
from . import routes_oauth as oauth
from . import routes_settings as settings
from .calls import Call
from .entities import KINDS
from .gate import CALL, Answer
from .refusals import Refused, problem
from .replica import Replica

Handler = Callable[[Replica, Call], Response]
Table = list[tuple[str, str, Handler]]

_OF_KIND: Table = [
    ("GET", "", entities.list_entities),
    ("POST", "", entities.create_entities),
    ("PATCH", "", entities.change_entities),
    ("GET", "/{id:int}", entities.read_entity),
    ("PATCH", "/{id:int}", entities.change_entity),
    ("GET", "/notes", notes.list_notes),
    ("POST", "/notes", notes.create_notes),
    ("PATCH", "/notes", notes.change_notes),
    ("GET", "/notes/{note_id:int}", notes.read_note),
    ("PATCH", "/notes/{note_id:int}", notes.change_note),
    ("GET", "/{id:int}/notes", notes.list_notes),
    ("POST", "/{id:int}/notes", notes.create_notes),
    ("PATCH", "/{id:int}/notes", notes.change_notes),
    ("GET", "/{id:int}/notes/{note_id:int}", notes.read_note),
    ("PATCH", "/{id:int}/notes/{note_id:int}", notes.change_note),
    ("POST", "/notes/{note_id:int}/pin", notes.pin_note),
    ("POST", "/notes/{note_id:int}/unpin", notes.pin_note),
    ("POST", "/{id:int}/notes/{note_id:int}/pin", notes.pin_note),
    ("POST", "/{id:int}/notes/{note_id:int}/unpin", notes.pin_note),
    ("GET", "/tags", links.list_tags),
    ("POST", "/tags", links.create_tags),
    ("GET", "/links", links.list_mass_links),
    ("POST", "/link", links.link),
    ("POST", "/unlink", links.unlink),
    ("GET", "/{id:int}/links", links.list_links),
    ("POST", "/{id:int}/link", links.link),
    ("POST", "/{id:int}/unlink", links.unlink),
    ("GET", "/custom_fields", fields.list_fields),
    ("POST", "/custom_fields", fields.create_fields),
    ("PATCH", "/custom_fields", fields.change_fields),
    ("GET", "/custom_fields/{id:int}", fields.read_field),
    ("PATCH", "/custom_fields/{id:int}", fields.change_field),
    ("DELETE", "/custom_fields/{id:int}", fields.delete_field),
]

_SINGLE: Table = [
    ("POST", "/api/v4/leads/complex", entities.create_compounds),
    ("GET", "/api/v4/leads/pipelines", settings.list_pipelines),
    ("GET", "/api/v4/leads/pipelines/{id:int}", settings.read_pipeline),
    ("GET", "/api/v4/leads/pipelines/{id:int}/statuses", settings.list_statuses),
    ("GET", "/api/v4/leads/pipelines/{id:int}/statuses/{status_id:int}", settings.read_status),
    ("GET", "/api/v4/leads/loss_reasons", settings.list_loss_reasons),
    ("GET", "/api/v4/account", settings.read_account),
    ("GET", "/api/v4/users", settings.list_users),
    ("GET", "/api/v4/users/{id:int}", settings.read_user),
    ("GET", "/api/v4/catalogs", settings.list_nothing),
    ("GET", "/api/v4/events", events.list_events),
    ("GET", "/oauth", oauth.consent),
    ("POST", "/oauth2/access_token", oauth.exchange),
    ("GET", "/oauth2/account/current/subdomain", oauth.subdomain),
    ("GET", "/oauth2/account/subdomain", oauth.subdomain),
    ("GET", "/_sandbox/requests", control.show_requests),
    ("DELETE", "/_sandbox/requests", control.clear_requests),
    ("GET", "/_sandbox/switches", control.show_switches),
    ("PUT", "/_sandbox/switches", control.turn_switches),
    ("GET", "/_sandbox/faults", control.show_faults),
    ("POST", "/_sandbox/faults", control.add_fault),
    ("DELETE", "/_sandbox/faults", control.clear_faults),
    ("POST", "/_sandbox/edit", control.edit),
    ("POST", "/_sandbox/delete", control.delete),
    ("POST", "/_sandbox/seed", control.sow),
    ("POST", "/_sandbox/reset", control.reset),
    ("POST", "/_sandbox/token", control.tokens),
    ("PUT", "/_sandbox/client", control.register),
    ("GET", "/_sandbox/dump", control.dump),
]


def application(replica: Replica) -> Starlette:
    """The Starlette application behind the gate."""
    routes = [_route(replica, "", row) for row in _SINGLE]
    for kind in KINDS:
        routes.extend(_route(replica, kind, (method, f"/api/v4/{kind}{path}", do)) for method, path, do in _OF_KIND)
    return Starlette(routes=routes, exception_handlers={404: _unknown, 405: _not_allowed, Refused: _refused})


def _route(replica: Replica, kind: str, row: tuple[str, str, Handler]) -> Route:
    method, path, handler = row

    async def endpoint(request: Request) -> Response:
        call: Call = request.scope[CALL]
        call.parts = {"kind": kind, **request.path_params}
        return handler(replica, call)

    return Route(path, endpoint, methods=[method])


async def _refused(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    answer = Answer.of(refused)
    return Response(answer.body, answer.status, {k.decode(): v.decode() for k, v in answer.headers})


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    address = str(request.url).replace("http://", "https://", 1)
    return await _refused(request, problem(404, f"Cannot {request.method} {address}"))


async def _not_allowed(request: Request, error: Exception) -> Response:
    return await _refused(request, problem(405, "Method Not Allowed"))
