"""An asynchronous client for the amoCRM (Kommo) API v4 that stands on its own.

async with AmoCRMClient("https://firm.amocrm.ru", LongLivedToken(token)) as amocrm:
    lead_id = await amocrm.create_lead(name="…", price=50_000)
    await amocrm.add_note(lead_id, "…")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leadsync.amocrm.authorization import LongLivedToken as LongLivedToken
    from leadsync.amocrm.authorization import StoredTokens as StoredTokens
    from leadsync.amocrm.ban import Ban as Ban
    from leadsync.amocrm.budget import Before as Before
    from leadsync.amocrm.budget import Budget as Budget
    from leadsync.amocrm.budget import LocalBudget as LocalBudget
    from leadsync.amocrm.budget import NoBudget as NoBudget
    from leadsync.amocrm.budget import Turn as Turn
    from leadsync.amocrm.budget import nothing as nothing
    from leadsync.amocrm.catalogue import Account as Account
    from leadsync.amocrm.catalogue import Catalogue as Catalogue
    from leadsync.amocrm.catalogue import CustomField as CustomField
    from leadsync.amocrm.catalogue import FieldOption as FieldOption
    from leadsync.amocrm.catalogue import NameNotFound as NameNotFound
    from leadsync.amocrm.catalogue import Pipeline as Pipeline
    from leadsync.amocrm.catalogue import Status as Status
    from leadsync.amocrm.catalogue import User as User
    from leadsync.amocrm.client import AmoCRMClient as AmoCRMClient
    from leadsync.amocrm.entities import Contact as Contact
    from leadsync.amocrm.entities import CustomFieldValue as CustomFieldValue
    from leadsync.amocrm.entities import Lead as Lead
    from leadsync.amocrm.entities import Link as Link
    from leadsync.amocrm.entities import Note as Note
    from leadsync.amocrm.oauth import OAuthClient as OAuthClient
    from leadsync.amocrm.retry import RetryPolicy as RetryPolicy
    from leadsync.amocrm.shared_budget import SharedBudget as SharedBudget
    from leadsync.amocrm.tokens import LoginStates as LoginStates
    from leadsync.amocrm.tokens import Tokens as Tokens
    from leadsync.amocrm.tokens import TokenStore as TokenStore
    from leadsync.amocrm.wire import Timeouts as Timeouts
    from leadsync.amocrm.wire import open_http as open_http
    from leadsync.amocrm.writing import ComplexResult as ComplexResult
    from leadsync.amocrm.writing import UpdateResult as UpdateResult
    from leadsync.errors import AmoCRMAPIError as AmoCRMAPIError
    from leadsync.errors import AmoCRMBanned as AmoCRMBanned
    from leadsync.errors import AmoCRMForbidden as AmoCRMForbidden
    from leadsync.errors import AmoCRMNotFound as AmoCRMNotFound
    from leadsync.errors import AmoCRMRateLimitError as AmoCRMRateLimitError
    from leadsync.errors import AmoCRMUnavailable as AmoCRMUnavailable
    from leadsync.errors import AmoCRMUnknownOutcome as AmoCRMUnknownOutcome
    from leadsync.errors import AmoCRMValidationError as AmoCRMValidationError
    from leadsync.errors import AuthorizationRequired as AuthorizationRequired

_HOMES = {
    "Account": "leadsync.amocrm.catalogue",
    "AmoCRMAPIError": "leadsync.errors",
    "AmoCRMBanned": "leadsync.errors",
    "AmoCRMClient": "leadsync.amocrm.client",
    "AmoCRMForbidden": "leadsync.errors",
    "AmoCRMNotFound": "leadsync.errors",
    "AmoCRMRateLimitError": "leadsync.errors",
    "AmoCRMUnavailable": "leadsync.errors",
    "AmoCRMUnknownOutcome": "leadsync.errors",
    "AmoCRMValidationError": "leadsync.errors",
    "AuthorizationRequired": "leadsync.errors",
    "Ban": "leadsync.amocrm.ban",
    "Before": "leadsync.amocrm.budget",
    "Budget": "leadsync.amocrm.budget",
    "Catalogue": "leadsync.amocrm.catalogue",
    "ComplexResult": "leadsync.amocrm.writing",
    "Contact": "leadsync.amocrm.entities",
    "CustomField": "leadsync.amocrm.catalogue",
    "CustomFieldValue": "leadsync.amocrm.entities",
    "FieldOption": "leadsync.amocrm.catalogue",
    "Lead": "leadsync.amocrm.entities",
    "Link": "leadsync.amocrm.entities",
    "LocalBudget": "leadsync.amocrm.budget",
    "LoginStates": "leadsync.amocrm.tokens",
    "LongLivedToken": "leadsync.amocrm.authorization",
    "NameNotFound": "leadsync.amocrm.catalogue",
    "NoBudget": "leadsync.amocrm.budget",
    "Note": "leadsync.amocrm.entities",
    "OAuthClient": "leadsync.amocrm.oauth",
    "Pipeline": "leadsync.amocrm.catalogue",
    "RetryPolicy": "leadsync.amocrm.retry",
    "SharedBudget": "leadsync.amocrm.shared_budget",
    "Status": "leadsync.amocrm.catalogue",
    "StoredTokens": "leadsync.amocrm.authorization",
    "Timeouts": "leadsync.amocrm.wire",
    "TokenStore": "leadsync.amocrm.tokens",
    "Tokens": "leadsync.amocrm.tokens",
    "Turn": "leadsync.amocrm.budget",
    "UpdateResult": "leadsync.amocrm.writing",
    "User": "leadsync.amocrm.catalogue",
    "nothing": "leadsync.amocrm.budget",
    "open_http": "leadsync.amocrm.wire",
}
"""Where each name lives; imported at first use, so that whoever needs the names of an account does not load httpx."""

__all__ = [
    "Account",
    "AmoCRMAPIError",
    "AmoCRMBanned",
    "AmoCRMClient",
    "AmoCRMForbidden",
    "AmoCRMNotFound",
    "AmoCRMRateLimitError",
    "AmoCRMUnavailable",
    "AmoCRMUnknownOutcome",
    "AmoCRMValidationError",
    "AuthorizationRequired",
    "Ban",
    "Before",
    "Budget",
    "Catalogue",
    "ComplexResult",
    "Contact",
    "CustomField",
    "CustomFieldValue",
    "FieldOption",
    "Lead",
    "Link",
    "LocalBudget",
    "LoginStates",
    "LongLivedToken",
    "NameNotFound",
    "NoBudget",
    "Note",
    "OAuthClient",
    "Pipeline",
    "RetryPolicy",
    "SharedBudget",
    "Status",
    "StoredTokens",
    "Timeouts",
    "TokenStore",
    "Tokens",
    "Turn",
    "UpdateResult",
    "User",
    "nothing",
    "open_http",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leadsync.amocrm' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
