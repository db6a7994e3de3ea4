"""What is done with the made-up noun, in a copy of the program that has it. `test_new_noun` runs this file."""

import os
from pathlib import Path

import pytest
from tests.api.conftest import Api

import pertoken
from pertoken.core.access import Role

PATH = "/api/v1/receipts"
ASKED = {"customer": "acme", "amount": "12.5"}


@pytest.fixture
def issued(api: Api) -> Api:
    """Return the control plane as finance sees it, with as many receipts of a customer as one may have."""
    finance = api.as_role(Role.FINANCE)
    for number in (1, 2):
        reply = finance("POST", PATH, ASKED)
        assert (reply.status, reply.json["id"], reply.json["amount"]) == (201, number, "12.5")
    return finance


def test_it_is_used(api: Api, issued: Api) -> None:
    """It is kept, read, written down in the audit and described; what is refused leaves nothing; roles are asked."""
    first, second = issued("GET", PATH).json["receipts"]
    refused = issued("POST", PATH, ASKED)
    audited = api("GET", "/api/v1/audit").json["changes"]
    viewer, customer = api.as_role(Role.VIEWER), api.as_role(Role.CUSTOMER)
    with api.database.read() as connection:
        version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()

    assert Path(pertoken.__file__).parents[1] == Path(os.environ["PYTHONPATH"])
    assert version == "receipts"
    assert (first["id"], second["id"], first["customer"]) == (1, 2, "acme")
    assert (refused.status, refused.json["param"]) == (422, "customer")
    assert issued("GET", PATH).json["receipts"] == [first, second]
    assert [one["object"] for one in audited if one["action"] == "receipts.write"] == [f"{PATH}/2", f"{PATH}/1"]
    assert set(api("GET", "/api/openapi.json").json["paths"][PATH]) == {"get", "post"}
    assert [viewer(method, PATH, body).status for method, body in (("GET", None), ("POST", ASKED))] == [200, 403]
    assert customer("GET", PATH).status == 403
