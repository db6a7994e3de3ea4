"""Which models can be called: each official SDK lists and gets them; what has no key or no name is refused as ours."""

import os
import re
import subprocess
import sys
from pathlib import Path

import anthropic
import openai
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors
from openai import OpenAI
from tests.conftest import MakeDatabase, with_prices
from tests.e2e.conftest import Process, Stack, gateway_environ, one_store, start

from pertoken.store.database import Database

NAME = re.compile(r"[a-z0-9][\w.:/@-]*")  # no pattern that prices name several models by
CHAT, CLAUDE, GEMINI = "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash"


@pytest.fixture
def openai_sdk(stack: Stack) -> OpenAI:
    """Return OpenAI's SDK at the gateway."""
    return OpenAI(base_url=f"{stack.gateway.url}/v1", api_key=stack.secret, max_retries=0)


@pytest.fixture
def anthropic_sdk(stack: Stack) -> Anthropic:
    """Return Anthropic's SDK at the gateway."""
    return Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)


@pytest.fixture
def gemini_sdk(stack: Stack) -> genai.Client:
    """Return Google's SDK at the gateway."""
    return genai.Client(api_key=stack.secret, http_options={"base_url": stack.gateway.url})


@one_store
def test_each_sdk_lists_the_models_of_its_wire(
    openai_sdk: OpenAI, anthropic_sdk: Anthropic, gemini_sdk: genai.Client
) -> None:
    """A list has the names that this client can call, and none that only others can."""
    chat = {model.id for model in openai_sdk.models.list()}
    claude = {model.id for model in anthropic_sdk.models.list()}
    gemini = {model.name for model in gemini_sdk.models.list()}

    assert CHAT in chat
    assert not {CLAUDE, GEMINI} & chat
    assert CLAUDE in claude
    assert CHAT not in claude
    assert f"models/{GEMINI}" in gemini
    assert f"models/{CHAT}" not in gemini
    others = re.compile("models/(claude|imagen|veo)|(tts|whisper)-|.*(-live-|realtime)")
    assert [name for name in (*gemini, *chat) if name is None or others.match(name)] == []
    listed = (*chat, *claude, *(name.removeprefix("models/") for name in gemini if name))
    assert [name for name in listed if not NAME.fullmatch(name)] == []


@one_store
def test_each_sdk_gets_one_model(openai_sdk: OpenAI, anthropic_sdk: Anthropic, gemini_sdk: genai.Client) -> None:
    """One model is told under its name, in the shape that the SDK reads."""
    assert openai_sdk.models.retrieve(CHAT).owned_by == "openai"
    assert anthropic_sdk.models.retrieve(CLAUDE).display_name == CLAUDE
    assert gemini_sdk.models.get(model=GEMINI).name == f"models/{GEMINI}"


@one_store
def test_a_misspelt_model_is_not_found(openai_sdk: OpenAI, anthropic_sdk: Anthropic, gemini_sdk: genai.Client) -> None:
    """Each SDK raises its own exception for a name that nobody has, and reads what was meant."""
    with pytest.raises(openai.NotFoundError, match=f"did you mean {CHAT}"):
        openai_sdk.models.retrieve("gpt-4o-mimi")
    with pytest.raises(anthropic.NotFoundError, match=f"did you mean {CLAUDE}"):
        anthropic_sdk.models.retrieve("claude-sonet-4-5")
    with pytest.raises(errors.ClientError, match=f"did you mean {GEMINI}") as raised:
        gemini_sdk.models.get(model="gemini-2.5-flahs")
    assert raised.value.code == 404
    with pytest.raises(anthropic.NotFoundError, match=f"did you mean {CLAUDE}"):
        anthropic_sdk.messages.create(
            model="claude-sonet-4-5", max_tokens=9, messages=[{"role": "user", "content": "hello"}]
        )
    with pytest.raises(errors.ClientError, match=f"did you mean {GEMINI}") as raised:
        gemini_sdk.models.count_tokens(model="gemini-2.5-flahs", contents="hello")
    assert raised.value.code == 404


NO_KEYS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"), "")


def test_a_missing_key_is_ours_to_tell(make_database: MakeDatabase, tmp_path: Path, simulator: Process) -> None:
    """Without a provider's key its calls are refused unsent, as the gateway's fault; its start says so."""
    environ = gateway_environ(
        simulator.url, tmp_path, PERTOKEN_DATABASE_URL=make_database("sqlite", tmp_path, with_prices), **NO_KEYS
    )
    environ = {name: value for name, value in environ.items() if "OPENAI__BASE_URL" not in name}
    gateway = start(["-m", "pertoken", "serve", "--port", "0"], environ, tmp_path / "gateway.log")
    keyless = Stack(gateway, simulator, Database(environ["PERTOKEN_DATABASE_URL"]))
    try:
        _, secret = keyless.new_key("app")
        sdk = OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0)
        with pytest.raises(
            openai.InternalServerError, match="no key for openai; its operator sets OPENAI_API_KEY"
        ) as raised:
            sdk.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "hello"}])
        assert (raised.value.status_code, raised.value.code) == (503, "provider_key_missing")
        assert CHAT not in {model.id for model in sdk.models.list()}
        own = genai.Client(api_key=secret, http_options={"base_url": gateway.url})
        assert own.models.get(model=GEMINI).name == f"models/{GEMINI}"
        assert keyless.open_holds() == []
    finally:
        gateway.stop()
        keyless.database.close()

    assert "no key for openai, so its models are refused; set OPENAI_API_KEY" in gateway.log.read_text()


def test_a_key_for_applications_is_no_providers_key(tmp_path: Path) -> None:
    """A gateway that is given one of pertoken's own keys as a provider's does not start, and says which is which."""
    environ = {
        **os.environ,
        "OPENAI_API_KEY": "sk-pt-0123456789",
        "PERTOKEN_DATABASE_URL": f"sqlite:///{tmp_path}/p.db",
    }
    command = [sys.executable, "-m", "pertoken", "serve", "--port", "0"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "the key of openai is a pertoken key" in done.stderr
    assert "providers.openai.api_key" in done.stderr
    assert "0123456789" not in done.stderr
