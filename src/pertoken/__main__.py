"""The program's entry: `pertoken` and `python -m pertoken`."""

from pertoken.cli.main import cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="pertoken")


if __name__ == "__main__":
    main()
