"""`python -m pertoken.simulator` runs the provider alone, for tests."""

import argparse

from pertoken.simulator.server import run

parser = argparse.ArgumentParser(prog="pertoken.simulator")
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, default=4100)
arguments = parser.parse_args()
run(arguments.host, arguments.port)
