"""The end of a login: what the browser brings back from amoCRM, checked before its code is exchanged."""

from __future__ import annotations

from collections.abc import Mapping

from leadsync.amocrm.oauth import LOGIN, OAuthClient
from leadsync.amocrm.tokens import LoginStates, Tokens
from leadsync.errors import AuthorizationRequired


class UnknownState(AuthorizationRequired):
    """A callback without a `state` of ours that is still unused: it may be anybody's, so nothing is done with it."""

    http_status = 400


async def finish_login(answer: Mapping[str, str], *, oauth: OAuthClient, states: LoginStates) -> Tokens:
    """Turn the query of a callback (`code`, `state`, `referer`, or `error`) into stored tokens.

    The state is looked at first, and is used up by it: without it nobody can finish, or end, a login that another
    person began. Raises UnknownState, AuthorizationRequired when the login was refused or was for another account,
    ConfigurationError for wrong settings of the integration, and what the exchange raises. Nothing is stored then.
    Source: amoCRM docs, oauth/step-by-step.
    """
    if not await states.consume(answer.get("state")):
        what = "the login's `state` is missing, was used already, or is older than ten minutes; nothing was stored"
        raise UnknownState(what, do=LOGIN)
    if answer.get("error") == "access_denied":
        what = "the access was not allowed on amoCRM's page; nothing was stored"
        raise AuthorizationRequired(what, do=f"{LOGIN} again and allow it, as an administrator of the account")
    code = answer.get("code")
    if not code:
        raise AuthorizationRequired("amoCRM sent the browser back without a code; nothing was stored", do=LOGIN)
    return await oauth.exchange(code, referer=answer.get("referer"))
