"""The audit log as a page: names beside ids."""

import re
from html import unescape

from tests.web import made
from tests.web.conftest import Browser
from tests.web.made import fresh


def rows(browser: Browser) -> list[str]:
    """Return the rows of the page as plain text, the newest first."""
    page = browser.sign_in().get("/audit?range=today").text
    found = re.findall("<tr>.*?</tr>", page.rsplit("<tbody>", maxsplit=1)[-1], re.DOTALL)
    return [" ".join(unescape(re.sub("<[^>]*>", " ", row)).split()) for row in found]


def test_a_change_says_name_and_id(browser: Browser) -> None:
    """A key has its name beside its id, and the operator's key is no person's name."""
    name = fresh("named")
    made.fill(browser.sign_in(), "/keys", "make", name=name)

    [row] = [one for one in rows(browser) if name in one]
    assert f"{name} · keys/" in row
    assert "operator's key" in row
    assert re.search(rf"{name} · keys/key_\w{{26}}", browser.get("/audit?range=today").text)


def test_a_stated_price_says_its_model(browser: Browser) -> None:
    """The model that a price was stated for is in what was changed."""
    model, signed = fresh("model"), browser.sign_in()
    csrf = signed.get("/prices").text.split('name="csrf" value="')[1].split('"')[0]
    price = {"valid_from": "", "input": "2", "output": "8", "currency": "USD"}
    signed.post(f"/prices/openai/{model}", {"csrf": csrf, "once": fresh("o"), "deed": "state", **price})

    assert any(f"prices/{model}" in one for one in rows(browser))
