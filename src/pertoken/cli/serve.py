"""`pertoken serve` and `pertoken simulate`."""

import logging

import click

from pertoken.cli.session import Refused, db_option, load_settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=4000, envvar="PORT", show_default=True, help="0: any free one."
)
@db_option
def serve(host: str, port: int, db: str | None) -> None:
    """Run the gateway until Ctrl-C. Running calls finish and settle first."""
    from pertoken.gateway import server  # noqa: PLC0415 - keeps --help fast
    from pertoken.store.database import StoreFailed  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        server.run(load_settings(db), host, port)
    except (StoreFailed, ValueError, OSError) as error:
        raise Refused(f"{error}; see: pertoken doctor") from error


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=4100, show_default=True, help="0: any free one.")
def simulate(host: str, port: int) -> None:
    """Run a provider that speaks the wire formats under any model name and counts what it served."""
    from pertoken.simulator.server import run  # noqa: PLC0415 - keeps --help fast

    run(host, port)
