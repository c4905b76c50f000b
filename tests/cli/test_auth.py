"""`leadsync auth`: the test plays the browser, follows the printed address, and looks at what Redis holds then."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from leadsync.amocrm.tokens import LoginStates, Tokens, TokenStore
from leadsync.sandbox.starter import ADMIN_ID
from tests.cli.terminal import Running, run, running
from tests.world import World

PREFIX = "leadsync:{firm.amocrm.ru}:"
ELSEWHERE = "https://example.com/callback"
DONE = "Готово, можно закрыть окно"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(world: World, **variables: str | None) -> None:
    lines = [f"{name.upper()}={value}\n" for name, value in variables.items() if value is not None]
    (world.folder / ".env").write_text("".join(lines))


def integration(world: World, redirect_uri: str = ELSEWHERE, **changes: str | None) -> None:
    """Register a redirect URI with the look-alike, and let the project log in through its integration."""
    oauth = world.sandbox.oauth
    oauth.redirect_uri = redirect_uri
    variables = {
        "amocrm_base_url": world.sandbox.url,
        "amocrm_client_id": oauth.client_id,
        "amocrm_client_secret": oauth.client_secret,
        "amocrm_redirect_uri": redirect_uri,
    }
    settings(world, **variables | changes)


def local(world: World, host: str = "127.0.0.1") -> str:
    """An integration whose redirect URI leads to this machine; that URI."""
    redirect_uri = f"http://{host}:{free_port()}/amo/callback"
    integration(world, redirect_uri)
    return redirect_uri


@asynccontextmanager
async def logging_in(world: World, *options: str) -> AsyncIterator[tuple[Running, str]]:
    """`leadsync auth login`, and the address it printed."""
    async with running(world.folder, "auth", "login", *options) as command:
        yield command, await command.line()


async def visit(address: str) -> httpx.Response:
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        return await browser.get(address)


async def stored(world: World) -> Tokens | None:
    return await TokenStore(world.redis, PREFIX).load()


async def store_pair(world: World) -> None:
    """What a login leaves behind."""
    pair = world.sandbox.oauth.pair(ADMIN_ID)
    now = time.time()
    tokens = Tokens(pair["access_token"], pair["refresh_token"], now, now + pair["expires_in"], "127.0.0.1")
    await TokenStore(world.redis, PREFIX).save(tokens)


# login


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_login_ends_with_a_friendly_page_and_stored_tokens(host, world):
    """Following the printed address to the callback stores both tokens, shows a page, and ends the command with 0."""
    local(world, host)
    async with logging_in(world) as (command, address):
        page = await visit(address)
        ended = await command.ended()
    tokens = await stored(world)
    assert page.status_code == 200
    assert DONE in page.text
    assert "can close" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert ended.code == 0
    assert "logged in to firm.amocrm.ru" in ended.out
    assert tokens is not None
    assert tokens.access_token
    assert tokens.refresh_token
    assert tokens.access_token not in ended.out + ended.err


async def test_after_a_login_the_other_commands_are_let_in(world):
    """The tokens of a login are those that every command uses."""
    local(world)
    async with logging_in(world) as (command, address):
        await visit(address)
        await command.ended()
    assert "Источник" in (await run(world.folder, "fields")).out
    assert (await run(world.folder, "auth", "status")).code == 0


async def test_every_login_has_a_state_of_its_own(world):
    """The address names the integration and a fresh state, and nothing that amoCRM's page does not take."""
    integration(world)
    first, second = [(await run(world.folder, "auth", "login", "--no-wait")).out for _ in range(2)]
    queries = [parse_qs(urlsplit(one.strip()).query) for one in (first, second)]
    assert [sorted(one) for one in queries] == [["client_id", "state"]] * 2
    assert queries[0]["state"] != queries[1]["state"]


async def test_people_log_in_on_the_shared_host(world):
    """Without an AMOCRM_BASE_URL the address is on the www host of the account's domain, not on the account's own."""
    integration(world, amocrm_base_url=None)
    ended = await run(world.folder, "auth", "login", "--no-wait")
    assert ended.out.startswith("https://www.amocrm.ru/oauth?")
    assert ended.code == 0


@pytest.mark.parametrize("fault", ["missing", "wrong", "used"])
async def test_a_callback_without_our_state_changes_nothing(fault, world):
    """A missing, wrong or used state gets a page with 400, nothing is stored, and the real callback still works."""
    redirect_uri = local(world)
    code = world.sandbox.oauth.code(ADMIN_ID)
    states = LoginStates(world.redis, PREFIX)
    used = await states.issue()
    await states.consume(used)
    query = {"missing": "", "wrong": "&state=x", "used": f"&state={used}"}[fault]
    async with logging_in(world) as (command, address):
        refused = await visit(f"{redirect_uri}?code={code}{query}")
        assert await command.said("still waiting")
        assert await stored(world) is None
        accepted = await visit(address)
        ended = await command.ended()
    assert (refused.status_code, accepted.status_code, ended.code) == (400, 200, 0)


async def test_nobody_without_the_state_can_end_a_login(world):
    """A made-up refusal does not end the login that somebody waits for."""
    redirect_uri = local(world)
    async with logging_in(world) as (command, address):
        refused = await visit(f"{redirect_uri}?error=access_denied")
        assert await command.said("still waiting")
        await visit(address)
        ended = await command.ended()
    assert (refused.status_code, ended.code) == (400, 0)


async def test_a_refusal_on_amocrms_page_ends_the_login(world):
    """Whoever does not allow the access gets 77 in the terminal, a page that says so, and no tokens."""
    local(world)
    world.sandbox.switches.deny_login = True
    async with logging_in(world) as (command, address):
        page = await visit(address)
        ended = await command.ended()
    assert page.status_code == 400
    assert "Войти не получилось" in page.text
    assert ended.code == 77
    assert "not allowed" in ended.err
    assert "what to do" in ended.err
    assert await stored(world) is None


async def test_wrong_settings_of_the_integration_end_the_login(world):
    """When amoCRM refuses the secret, the terminal says which variable to correct, and the secret is not repeated."""
    integration(world, f"http://127.0.0.1:{free_port()}/", amocrm_client_secret="not-the-secret")
    async with logging_in(world) as (command, address):
        page = await visit(address)
        ended = await command.ended()
    assert page.status_code == 400
    assert ended.code == 78
    assert "AMOCRM_CLIENT_SECRET" in ended.err
    assert "not-the-secret" not in ended.err


async def test_other_addresses_of_the_port_are_not_the_callback(world):
    """A browser that asks for its little icon does not disturb the login."""
    redirect_uri = local(world)
    async with logging_in(world) as (command, address):
        assert (await visit(redirect_uri.replace("/amo/callback", "/favicon.ico"))).status_code == 404
        await visit(address)
        assert (await command.ended()).code == 0


async def test_nobody_waits_for_ever(world):
    """After the time given the command ends with 77 and says what to do."""
    local(world)
    ended = await run(world.folder, "auth", "login", "--timeout", "1")
    assert ended.code == 77
    assert "nobody finished the login within 1 s" in ended.err
    assert "--no-wait" in ended.err


async def test_ctrl_c_ends_the_waiting(world):
    """An interrupted login ends with 130 and without a stack trace."""
    local(world)
    async with logging_in(world) as (command, _):
        await command.said("waiting")
        ended = await command.ended(signal.SIGINT)
    assert ended.code == 130
    assert "Traceback" not in ended.err


async def test_a_taken_port_is_said(world):
    """When something else listens at the redirect URI, the command says so and names the way by hand."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        integration(world, f"http://127.0.0.1:{other.getsockname()[1]}/callback")
        ended = await run(world.folder, "auth", "login")
    assert ended.code == 1
    assert ended.out == ""
    assert "already in use" in ended.err
    assert "auth exchange" in ended.err


async def test_a_redirect_to_elsewhere_is_finished_by_hand(world):
    """When the redirect URI is not on this machine, the address is printed with the next step, and nobody waits."""
    integration(world)
    ended = await run(world.folder, "auth", "login")
    assert ended.code == 0
    assert ended.out.strip().startswith(f"{world.sandbox.url}/oauth?")
    assert "leadsync auth exchange" in ended.err


async def test_without_waiting_only_the_address_is_a_result(world):
    """`--no-wait` prints one line on stdout and does not listen, so that it can be handed to a browser."""
    local(world)
    ended = await run(world.folder, "auth", "login", "--no-wait")
    assert ended.code == 0
    assert len(ended.out.splitlines()) == 1


async def test_no_login_is_needed_with_a_token_or_in_the_sandbox(world):
    """A long-lived token and the built-in sandbox need no login, and the command says which of them it is."""
    with_token = await run(world.folder, "auth", "login")
    world.write(amocrm={"subdomain": "sandbox"})
    settings(world)
    in_sandbox = await run(world.folder, "auth", "login")
    assert (with_token.code, in_sandbox.code) == (0, 0)
    assert "long-lived token" in with_token.out
    assert "built-in sandbox" in in_sandbox.out


@pytest.mark.parametrize("arguments", [("login",), ("exchange", "def502"), ("status",)])
async def test_missing_settings_are_named(arguments, world):
    """Without a token and with half an integration every way ends with 78 and the variables that are missing."""
    integration(world, amocrm_client_secret=None, amocrm_redirect_uri=None)
    ended = await run(world.folder, "auth", *arguments)
    assert ended.code == 78
    assert "set AMOCRM_CLIENT_SECRET, AMOCRM_REDIRECT_URI" in ended.err
    assert "AMOCRM_CLIENT_ID" not in ended.err


# exchange


async def test_a_code_can_be_exchanged_by_hand_once(world):
    """The code from the address bar stores the tokens; a second time it is refused with 77 and the next step."""
    integration(world)
    code = world.sandbox.oauth.code(ADMIN_ID)
    first = await run(world.folder, "auth", "exchange", code)
    second = await run(world.folder, "auth", "exchange", code)
    assert (first.code, second.code) == (0, 77)
    assert await stored(world) is not None
    assert "a code works once" in second.err
    assert code not in first.out + first.err + second.err


async def landed_at(world: World, address: str) -> str:
    """Where amoCRM's page sends the browser."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        return (await browser.get(address)).headers["location"]


async def test_the_whole_address_can_be_given(world):
    """The address the browser landed at is taken as it is, and its state is used up by it."""
    integration(world)
    landed = await landed_at(world, (await run(world.folder, "auth", "login", "--no-wait")).out.strip())
    first = await run(world.folder, "auth", "exchange", landed)
    second = await run(world.folder, "auth", "exchange", landed)
    assert (first.code, second.code) == (0, 77)
    assert "`state`" in second.err


async def test_half_an_address_is_not_taken(world):
    """An address that a shell cut at its first & holds no state: nothing is stored, and quotes are advised."""
    integration(world)
    ended = await run(world.folder, "auth", "exchange", f"{ELSEWHERE}?code={world.sandbox.oauth.code(ADMIN_ID)}")
    assert ended.code == 77
    assert "quotes" in ended.err
    assert await stored(world) is None


@pytest.mark.parametrize(
    ("query", "reason"), [("code=def502&referer=other.amocrm.ru", "another account"), ("", "without a code")]
)
async def test_a_login_of_another_account_is_refused(query, reason, world):
    """An address of another account, or without a code, stores nothing and asks nobody."""
    integration(world, amocrm_base_url=None)
    state = await LoginStates(world.redis, PREFIX).issue()
    ended = await run(world.folder, "auth", "exchange", f"{ELSEWHERE}?{query}&state={state}")
    assert ended.code == 77
    assert reason in ended.err
    assert await stored(world) is None


async def test_a_code_is_not_spent_for_tokens_nobody_uses(world):
    """With a long-lived token set, a code is not exchanged, and the message says what to unset."""
    ended = await run(world.folder, "auth", "exchange", world.sandbox.oauth.code(ADMIN_ID))
    assert ended.code == 78
    assert "Unset it" in ended.err
    assert world.requests("POST", "/oauth2/access_token") == []


# status and logout


async def test_the_status_says_how_long_the_tokens_live(world):
    """Both lives are shown, in text and JSON, and no token."""
    integration(world)
    await store_pair(world)
    tokens = await stored(world)
    text = await run(world.folder, "auth", "status")
    machine = await run(world.folder, "auth", "status", "--format", "json")
    found = json.loads(machine.out)
    assert (text.code, machine.code) == (0, 0)
    assert "firm.amocrm.ru" in text.out
    assert "23 h 59 min left" in text.out
    assert "89 days left" in text.out
    assert found["way"] == "integration"
    assert found["authorization_needed"] is False
    assert found["access_until"] < found["refresh_until"]
    assert tokens is not None
    assert str(tokens.access_token) not in text.out + machine.out
    assert str(tokens.refresh_token) not in text.out + machine.out


async def test_an_ended_access_token_is_no_reason_to_log_in(world):
    """While the refresh token lives, nobody has to log in."""
    integration(world)
    await store_pair(world)
    await TokenStore(world.redis, PREFIX).drop_access()
    ended = await run(world.folder, "auth", "status")
    assert ended.code == 0
    assert "renews it" in ended.out


async def test_the_status_asks_for_a_login_when_one_is_needed(world):
    """Without tokens it ends with 77, in both formats, and says what to run."""
    integration(world)
    text = await run(world.folder, "auth", "status")
    machine = await run(world.folder, "auth", "status", "--format", "json")
    assert (text.code, machine.code) == (77, 77)
    assert "leadsync auth login" in text.err
    assert json.loads(machine.out)["authorization_needed"] is True


def long_lived(**claims: float) -> str:
    """A token in the shape of amoCRM's, with these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJ0eXAiOiJKV1QifQ.{payload}.c2ln"


@pytest.mark.parametrize(
    ("token", "code", "said"),
    [
        (long_lived(exp=time.time() + 100 * 86_400 + 3600), 0, "100 days left"),
        (long_lived(exp=time.time() - 60), 77, "ended on"),
        (long_lived(), 0, "does not say when it ends"),
        ("something-else", 0, "does not say when it ends"),
    ],
    ids=["living", "ended", "endless", "opaque"],
)
async def test_a_long_lived_token_says_when_it_ends(token, code, said, world):
    """The end of a long-lived token is read from it; an ended one makes the command end with 77."""
    settings(world, amocrm_access_token=token)
    ended = await run(world.folder, "auth", "status")
    assert ended.code == code
    assert said in ended.out
    assert token not in ended.out + ended.err


async def test_a_logout_drops_both_tokens(world):
    """After a logout Redis holds neither token, and a second one says that there were none."""
    integration(world)
    await store_pair(world)
    first = await run(world.folder, "auth", "logout")
    assert await stored(world) is None
    second = await run(world.folder, "auth", "logout")
    assert (first.code, second.code) == (0, 0)
    assert "dropped" in first.out
    assert "no tokens" in second.out


async def test_a_logout_does_not_reach_a_long_lived_token(world):
    """A logout says that a token of the environment is still in use."""
    ended = await run(world.folder, "auth", "logout")
    assert ended.code == 0
    assert "unset it" in ended.err


async def test_a_login_lets_go_of_its_port(world):
    """A port is free again once a login has ended."""
    local(world)
    codes = []
    for _ in range(2):
        async with logging_in(world) as (command, address):
            _, ended = await asyncio.gather(visit(address), command.ended())
            codes.append(ended.code)
    assert codes == [0, 0]
