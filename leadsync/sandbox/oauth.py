"""OAuth 2.0 of amoCRM: one client, codes, single-use refresh tokens, access tokens, and how each of them is refused.

amoCRM docs: oauth/step-by-step; the error bodies are from recordings (amocrm-api-php issues 123, 235, 315).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from .refusals import Refused
from .storage import ContentFile
from .switches import Switches

CLIENT_ID = "5a5b0f2e-7c1d-4f64-9a3e-0c6f1b2d3e4f"
CLIENT_SECRET = "sandbox-secret"
REDIRECT_URI = "http://127.0.0.1:8080/api/v1/amocrm/callback"
LONG_LIFE = 5 * 365 * 86_400

_PROBLEM = "https://developers.amocrm.ru/v3/errors/OAuthProblemJson"
_BAD_REQUEST = ("Некорректный запрос", "В запросе отсутствует ряд параметров или параметры невалидны")
_BAD_CLIENT = ("Некорректный клиент", "Авторизация клиента не прошла")


def _refused(status: int, hint: str | None, wording: tuple[str, str] = _BAD_REQUEST) -> Refused:
    title, detail = wording
    body: dict[str, Any] = {"hint": hint} if hint else {}
    return Refused(status, {**body, "title": title, "type": _PROBLEM, "status": status, "detail": detail})


@dataclass(slots=True)
class Credential:
    """A code, an access token or a refresh token. `expires_at` is in Unix seconds.

    `partner` is the access token a refresh token came with, or the refresh token an access token came with;
    `replaces` is the refresh token that was spent for this pair.
    """

    kind: str
    text: str
    user_id: int
    expires_at: float
    is_spent: bool = False
    partner: str = ""
    replaces: str = ""

    def stored(self) -> dict[str, Any]:
        """What is kept in the content file."""
        return asdict(self)


class OAuth:
    """The tokens of one account; `clock` gives Unix seconds."""

    def __init__(self, file: ContentFile, switches: Switches, clock: Callable[[], float], account_id: int) -> None:
        self._file = file
        self._switches = switches
        self._clock = clock
        self._account_id = account_id
        self.client_id = CLIENT_ID
        self.client_secret = CLIENT_SECRET
        self.redirect_uri = REDIRECT_URI
        self._credentials = {id: Credential(**row) for id, row in file.rows("credentials")}

    # Giving out

    def code(self, user_id: int) -> str:
        """A fresh code, as the consent page hands it over."""
        return self._issue("code", user_id, self._switches.code_life).text

    def pair(self, user_id: int, replaces: str = "") -> dict[str, Any]:
        """A fresh pair in the shape of the token endpoint's answer."""
        life = self._switches.access_token_life
        access = self._issue("access", user_id, life, replaces=replaces)
        refresh = self._issue("refresh", user_id, self._switches.refresh_token_life, access.text, replaces)
        access.partner = refresh.text
        return {
            "token_type": "Bearer",
            "expires_in": life,
            "access_token": access.text,
            "refresh_token": refresh.text,
            "server_time": int(self._clock()),
        }

    def long_lived(self, user_id: int, life: float = LONG_LIFE) -> str:
        """A token that needs no refresh."""
        return self._issue("access", user_id, life).text

    def _issue(self, kind: str, user_id: int, life: float, partner: str = "", replaces: str = "") -> Credential:
        expires_at = self._clock() + life
        text = self._jwt(user_id, expires_at) if kind == "access" else f"def502{secrets.token_hex(400)}"
        made = Credential(kind, text, user_id, expires_at, partner=partner, replaces=replaces)
        self._credentials[text] = made
        self._file.keep("credentials", text, made)
        return made

    def _jwt(self, user_id: int, expires_at: float) -> str:
        payload = {
            "jti": secrets.token_hex(16),
            "sub": str(user_id),
            "exp": int(expires_at),
            "account_id": self._account_id,
            "base_domain": "amocrm.ru",
            "api_domain": "api-b.amocrm.ru",
            "scopes": ["push_notifications", "files", "crm", "files_delete", "notifications"],
        }
        parts = (orjson.dumps({"typ": "JWT", "alg": "RS256"}), orjson.dumps(payload), secrets.token_bytes(256))
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)

    # Taking in

    def exchange(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The token endpoint: a new pair for a code or a refresh token; Refused in amoCRM's words otherwise."""
        self._check_client(form)
        grant = form.get("grant_type")
        if grant == "authorization_code":
            return self.pair(self._spend_code(form.get("code")).user_id)
        if grant == "refresh_token":
            return self._refresh(form.get("refresh_token"))
        raise _refused(400, "Check the `grant_type` parameter")

    def _check_client(self, form: Mapping[str, Any]) -> None:
        if not form.get("client_id") or not form.get("client_secret"):
            raise _refused(401, None, _BAD_CLIENT)
        if form["client_id"] != self.client_id:
            raise _refused(400, "Check the `client_id` parameter")
        if form["client_secret"] != self.client_secret:
            raise _refused(400, "Check the `client_secret` parameter")
        if form.get("redirect_uri") != self.redirect_uri:
            raise _refused(400, "Redirect URI is not associated with client")
        if self._switches.invalid_account:
            raise _refused(400, "Invalid account")

    def _spend_code(self, text: Any) -> Credential:
        code = self._found("code", text)
        if code is None:
            raise _refused(400, "Cannot decrypt the authorization code")
        if code.is_spent:
            raise _refused(400, "Authorization code has been revoked")
        if code.expires_at <= self._clock():
            raise _refused(400, "Authorization code has expired")
        self._spend(code)
        return code

    def _refresh(self, text: Any) -> dict[str, Any]:
        old = self._found("refresh", text)
        if old is None:
            raise _refused(400, "Invalid refresh token")
        if old.is_spent or old.expires_at <= self._clock():
            raise _refused(401, "Token has been revoked")
        self._used(old)
        if not self._switches.lenient_refresh:
            self._spend_pair(old)
        return self.pair(old.user_id, replaces=old.text)

    def _spend_pair(self, refresh: Credential) -> None:
        self._spend(refresh)
        if (access := self._credentials.get(refresh.partner)) is not None:
            self._spend(access)

    def _used(self, credential: Credential) -> None:
        """Kommo's reading: the old refresh token ends when the new pair is first used."""
        replaced = self._credentials.get(credential.replaces)
        if replaced is not None and not replaced.is_spent:
            self._spend_pair(replaced)

    def _spend(self, credential: Credential) -> None:
        credential.is_spent = True
        self._file.keep("credentials", credential.text, credential)

    def _found(self, kind: str, text: Any) -> Credential | None:
        credential = self._credentials.get(text) if isinstance(text, str) else None
        return credential if credential is not None and credential.kind == kind else None

    def user_of(self, authorization: str) -> int | None:
        """The user an Authorization header speaks for; None for no, an unknown, an expired or a revoked token."""
        scheme, _, text = authorization.partition(" ")
        access = self._found("access", text.strip()) if scheme.lower() == "bearer" else None
        if access is None or access.is_spent or access.expires_at <= self._clock():
            return None
        self._used(access)
        return access.user_id

    def knows_refresh(self, text: str) -> bool:
        """Whether a refresh token is good (it is not spent by asking)."""
        refresh = self._found("refresh", text)
        return refresh is not None and not refresh.is_spent and refresh.expires_at > self._clock()

    # Meddling, for tests and people

    def expire(self, text: str) -> bool:
        """Ends a token's life now; False when it is unknown."""
        credential = self._credentials.get(text)
        if credential is None:
            return False
        credential.expires_at = self._clock()
        self._file.keep("credentials", text, credential)
        return True

    def revoke(self, text: str) -> bool:
        """Revokes a token with the other one of its pair; False when it is unknown."""
        credential = self._credentials.get(text)
        if credential is None:
            return False
        self._spend_pair(credential)
        return True

    def revoke_all(self) -> None:
        """What switching the integration off does: no token given out so far works any more."""
        for credential in self._credentials.values():
            self._spend(credential)
