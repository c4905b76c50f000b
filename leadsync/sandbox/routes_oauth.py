"""The consent page, the token endpoint, and the account's address by a token."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from starlette.responses import JSONResponse, RedirectResponse, Response

from .calls import Call
from .refusals import page, unauthorized
from .replica import Replica
from .starter import ADMIN_ID


def consent(replica: Replica, call: Call) -> Response:
    """`GET /oauth`: logs the administrator in and sends the browser to the registered redirect with a code."""
    oauth = replica.oauth
    if call.param("client_id") != oauth.client_id:
        raise page(404)
    state = {"state": call.param("state")} if call.param("state") else {}
    if replica.switches.deny_login:
        answer = {"error": "access_denied", "client_id": oauth.client_id, **state}
    else:
        host = urlsplit(call.base).netloc
        answer = {"code": oauth.code(ADMIN_ID), "referer": host, "client_id": oauth.client_id, "platform": "1", **state}
    return RedirectResponse(f"{oauth.redirect_uri}?{urlencode(answer)}", 302)


def exchange(replica: Replica, call: Call) -> Response:
    """`POST /oauth2/access_token`, JSON or form."""
    return JSONResponse(replica.oauth.exchange(_form(call)))


def _form(call: Call) -> dict[str, Any]:
    if "form" in call.headers.get("content-type", ""):
        return dict(parse_qsl(call.body.decode()))
    try:
        body = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def subdomain(replica: Replica, call: Call) -> Response:
    """`GET /oauth2/account/current/subdomain` by X-Refresh-Token, and the older form by Bearer."""
    refresh, bearer = call.headers.get("x-refresh-token", ""), call.headers.get("authorization", "")
    if not replica.oauth.knows_refresh(refresh) and replica.oauth.user_of(bearer) is None:
        raise unauthorized()
    host = urlsplit(call.base).netloc
    info = replica.account.info
    return JSONResponse({"id": info["id"], "subdomain": info["subdomain"], "domain": host, "top_level_domain": "ru"})
