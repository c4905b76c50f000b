"""An asynchronous client for the amoCRM (Kommo) API v4 that stands on its own.

async with AmoCRMClient("https://firm.amocrm.ru", LongLivedToken(token)) as amocrm:
    lead_id = await amocrm.create_lead(name="…", price=50_000)
    await amocrm.add_note(lead_id, "…")
"""

from leadsync.amocrm.authorization import LongLivedToken, StoredTokens
from leadsync.amocrm.budget import Budget, LocalBudget, NoBudget, Turn
from leadsync.amocrm.catalogue import (
    Account,
    Catalogue,
    CustomField,
    FieldOption,
    NameNotFound,
    Pipeline,
    Status,
    User,
)
from leadsync.amocrm.client import AmoCRMClient
from leadsync.amocrm.entities import Contact, CustomFieldValue, Lead, Link, Note
from leadsync.amocrm.oauth import OAuthClient
from leadsync.amocrm.retry import RetryPolicy
from leadsync.amocrm.shared_budget import SharedBudget
from leadsync.amocrm.tokens import LoginStates, Tokens, TokenStore
from leadsync.amocrm.wire import Timeouts, open_http
from leadsync.amocrm.writing import ComplexResult, UpdateResult
from leadsync.errors import (
    AmoCRMAPIError,
    AmoCRMBanned,
    AmoCRMForbidden,
    AmoCRMNotFound,
    AmoCRMRateLimitError,
    AmoCRMUnavailable,
    AmoCRMUnknownOutcome,
    AmoCRMValidationError,
    AuthorizationRequired,
)

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
    "open_http",
]
