"""Customers on running gateways: closed ones and unknown ones are refused before anything is held."""

import time
from pathlib import Path

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors
from tests.e2e.conftest import PATIENCE_S, Process, Stack, stack_of_its_own
from tests.e2e.test_teams import HELLO, call

from pertoken.core.access import View
from pertoken.core.customers import Customer
from pertoken.ports.store import Opened
from pertoken.services.customers import close_customer, create_customer
from pertoken.store.transactions import Transactions

WHOLE = View()


def make(stack: Stack, name: str) -> None:
    """Make a customer in the database, as the command line does."""
    with Transactions(stack.database).write() as opened:
        now_us = stack.clock.now_us()
        create_customer(opened, WHOLE, Customer(name, name, "USD", "UTC", now_us, begins_at_us=now_us))


def find(opened: Opened, name: str) -> Customer | None:
    """Return a customer."""
    return opened.customers.find([name]).get(name)


def close(stack: Stack, name: str) -> None:
    """Close a customer in the database, as the command line does."""
    with Transactions(stack.database).write() as opened:
        found = find(opened, name)
        assert found is not None
        close_customer(opened.customers, found, stack.clock.now_us())


def test_a_closed_customer_is_refused(stack: Stack) -> None:
    """From the next call on each official SDK raises its own exception, nothing is held, and others are served."""
    acme, other = f"{stack.name}-acme", f"{stack.name}-other"
    make(stack, acme)
    call(stack, stack.secret, customer=acme)
    close(stack, acme)
    headers = {"x-pertoken-customer": acme}
    claude = anthropic.Anthropic(base_url=stack.gateway.url, api_key=stack.secret, max_retries=0)
    gemini = genai.Client(api_key=stack.secret, http_options={"base_url": stack.gateway.url, "headers": headers})

    with pytest.raises(openai.PermissionDeniedError) as refused:
        call(stack, stack.secret, customer=acme)
    assert f"the customer '{acme}' was closed at" in refused.value.message
    with pytest.raises(anthropic.PermissionDeniedError):
        claude.messages.create(model="claude-haiku-4-5", max_tokens=5, messages=HELLO, extra_headers=headers)
    with pytest.raises(errors.ClientError) as told:
        gemini.models.generate_content(model="gemini-2.0-flash", contents="hello")
    assert (told.value.code, told.value.status) == (403, "PERMISSION_DENIED")
    call(stack, stack.secret, customer=other)
    stack.agrees(2)


def test_only_known_customers_are_served(tmp_path: Path, simulator: Process) -> None:
    """Where unknown ones are refused, one that another process made a moment ago is served, until it closes it."""
    with stack_of_its_own(tmp_path, simulator, PERTOKEN_CUSTOMERS__UNKNOWN="refuse") as stack:
        _, secret = stack.new_key("app")
        _, bound = stack.new_key("bound", customer="new")
        for key in (secret, bound):
            with pytest.raises(openai.PermissionDeniedError) as refused:
                call(stack, key, customer="new")
            assert "unknown customer 'new'" in refused.value.message
        call(stack, secret)
        make(stack, "new")

        assert call(stack, secret, customer="new").status_code == 200
        assert call(stack, bound).status_code == 200
        close(stack, "new")
        with pytest.raises(openai.PermissionDeniedError):
            call(stack, bound)


def test_customers_are_made_from_calls(tmp_path: Path, simulator: Process) -> None:
    """Where unknown ones are made, a call that names one is served, and soon there is a customer of its key's team."""
    made = {"UNKNOWN": "make", "CURRENCY": "EUR", "TIMEZONE": "Europe/Berlin"}
    environ = {f"PERTOKEN_CUSTOMERS__{name}": value for name, value in made.items()}
    with stack_of_its_own(tmp_path, simulator, **environ) as stack:
        _, secret = stack.new_key("app", team="growth")
        call(stack, secret, customer="new")
        deadline = time.monotonic() + PATIENCE_S
        found = None
        while found is None and time.monotonic() < deadline:
            time.sleep(0.05)
            with Transactions(stack.database).read() as opened:
                found = find(opened, "new")

        assert found is not None
        assert (found.currency, found.zone, found.team) == ("EUR", "Europe/Berlin", "growth")
        assert call(stack, secret, customer="new").status_code == 200
        assert stack.differences() == []
