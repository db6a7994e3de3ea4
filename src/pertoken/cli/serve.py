"""`pertoken serve` and `pertoken simulate` run until interrupted, and log to stderr, one line for each record."""

import errno
import logging
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from pertoken.cli.output import escaped_json
from pertoken.cli.session import CommandRefused, db_option, load_settings, store_errors
from pertoken.core.texts import escaped

if TYPE_CHECKING:
    from pertoken.settings import Settings

log = logging.getLogger("pertoken.serve")

PORT = click.IntRange(0, 65535)
host_option = click.option("--host", default="127.0.0.1", show_default=True)


@click.command()
@host_option
@click.option("--port", type=PORT, default=4000, envvar="PORT", show_default=True, help="0 picks a free port. [PORT]")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Worker processes.")
@db_option
@click.option("--config", metavar="FILE", help="Settings file in YAML. [PERTOKEN_CONFIG]")
@click.option(
    "--log",
    "form",
    type=click.Choice(["text", "json", "off"]),
    help="Log format; off: no lines for calls. [text]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --log json.")
def serve(  # noqa: PLR0917 - click passes each option by name
    host: str, port: int, workers: int, db: str | None, config: str | None, form: str | None, as_json: bool
) -> None:
    """Run the gateway until Ctrl-C. Running calls finish and settle first.

    The log goes to stderr: one line for each call and for each refusal, and warnings.
    """
    from pertoken.gateway import server
    from pertoken.gateway import workers as several

    settings = load_settings(db, config)
    chosen = form or ("json" if as_json else settings.log)
    settings = msgspec.structs.replace(settings, log=chosen)
    refuse_base_urls_that_are_none(settings)
    refuse_keys_that_cannot_be_decrypted(settings)
    refuse_a_taken_port(host, port, "serve")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if chosen == "json" else OneLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    warn_of_a_weak_admin_key(settings)
    tell_of_missing_keys(settings)
    tell_of_misspelt_providers(settings)
    with store_errors():
        if workers == 1:
            server.run(settings, host, port)
        else:
            several.run(settings, host, port, workers)


@click.command()
@host_option
@click.option("--port", type=PORT, default=4100, show_default=True, help="0 picks a free port.")
def simulate(host: str, port: int) -> None:
    """Run a simulated provider that accepts any model name and counts the usage that it serves."""
    from pertoken.simulator.server import run

    refuse_a_taken_port(host, port, "simulate")
    run(host, port)


def refuse_base_urls_that_are_none(settings: "Settings") -> None:
    """Say in one line which provider could not be called."""
    from pertoken.wiring.base_urls import check_base_url

    for name, provider in settings.providers.items():
        try:
            check_base_url(provider.base_url)
        except ValueError as error:  # the error quotes the url, which may contain a secret
            raise CommandRefused(
                f"providers.{name}.base_url cannot be called: write https://HOST/PATH, no secret"
            ) from error


def refuse_keys_that_cannot_be_decrypted(settings: "Settings") -> None:
    """Say in one line which provider's key cannot be read."""
    from pertoken.settings import BadSettings
    from pertoken.wiring.provider_keys import provider_key

    for name in settings.providers:
        try:
            provider_key(settings, name)
        except BadSettings as error:
            raise CommandRefused(str(error)) from error


def warn_of_a_weak_admin_key(settings: "Settings") -> None:
    """Warn that others may guess the operator's admin key."""
    from pertoken.core.secrets import weakness

    problem = weakness(settings.admin_key) if settings.admin_key else None
    if problem is not None:
        log.warning("PERTOKEN_ADMIN_KEY is weak: %s; make a new one: openssl rand -hex 20", problem)


def tell_of_missing_keys(settings: "Settings") -> None:
    """Warn about providers without a key, and name the variables to set."""
    from pertoken.settings import missing_key

    missing = {name: lacking for name in settings.providers if (lacking := missing_key(settings, name)) is not None}
    for name, lacking in missing.items():
        level = logging.WARNING if len(missing) == len(settings.providers) else logging.INFO
        log.log(level, "no key for %s, so its models are refused; set %s", name, lacking)


def tell_of_misspelt_providers(settings: "Settings") -> None:
    """Warn about unknown providers whose names resemble known ones; it is no error, as your own may have any name."""
    from pertoken.catalogs.providers import registry
    from pertoken.core.texts import meant

    for name in settings.providers.keys() - registry().keys():
        if near := meant(name, registry()):
            log.warning("the provider %s is unknown%s it is used as your own endpoint", name, near)


class OneLine(logging.Formatter):
    """Writes a record with its traceback on one line, in UTC like the lines of calls."""

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(name)s %(message)s")
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        return escaped(super().format(record).replace("\n", "\\n"))


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        said = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return escaped_json(msgspec.json.encode(said).decode())


def why_not_free(host: str, port: int) -> OSError | None:
    """Return why no server can listen there, or None; like a server, it ignores old connections that linger."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def refuse_a_taken_port(host: str, port: int, command: str) -> None:
    """Say in one line that a server could not listen, before anything is started."""
    error = why_not_free(host, port)
    if error is None:
        return
    hint = f"choose another port: pertoken {command} --port {port + 1 if port < 65535 else 0}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        hint = f"choose another address: pertoken {command} --host 127.0.0.1"
    raise CommandRefused(f"cannot listen on {host}:{port}: {error.strerror or error}; {hint}") from error
