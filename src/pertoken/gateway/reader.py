"""A process that parses and counts heavy bodies for a gateway: `python -m pertoken.gateway.reader FD`.

FD is a socket that it shares with its gateway. It gets one job after the other and ends when the gateway ends. A job is
two sizes, then the pickled name and arguments of the work, then the body. The answer is two sizes, then the pickled
result, then the bytes of a body in the result, if there is one; they are sent separately to avoid a copy.
"""

import io
import os
import pickle
import signal
import socket
import struct
import sys
from typing import Any

from pertoken.ports.tokens import Tokenizers
from pertoken.services.call import works
from pertoken.wire.format import BadRequest
from pertoken.wiring.counting import make_tokenizers

JOB = struct.Struct("<QQ")
RECEIVED_AT_ONCE = 1024 * 1024
NICE = 5  # a lower priority than the gateway on the same core: all calls wait for the gateway, only one for us
FOUND = struct.Struct("<QQ")


def main() -> None:
    """Serve the gateway's socket until the gateway has ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the gateway still serves its last calls; we end when it ends
    os.nice(NICE)
    tokenizers = make_tokenizers()
    with socket.socket(fileno=int(sys.argv[1])) as gateway:
        while head := _receive(gateway, JOB.size):
            job_size, body_size = JOB.unpack(head)
            job = _receive(gateway, job_size)
            body = _receive(gateway, body_size)
            found, found_body = do(job, body, tokenizers)
            gateway.sendall(FOUND.pack(len(found), len(found_body)))
            gateway.sendall(found)
            gateway.sendall(found_body)


def do(job: bytes, body: bytes, tokenizers: Tokenizers) -> tuple[bytes, bytes | memoryview]:
    """Return a pickled pair and the bytes of a body in it. The pair is (True, result) or (False, fault)."""
    work, args = pickle.loads(job)  # noqa: S301 - the gateway wrote it
    try:
        found = True, works.do(work, body, args, tokenizers)
    except BadRequest as error:
        found = False, (error.message, error.param)
    bodies: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(_with_body_apart(found), protocol=5, buffer_callback=bodies.append)
    return pickled, bodies[0].raw() if bodies else b""


def _with_body_apart(found: Any) -> Any:
    """Return a result in which bytes are wrapped in PickleBuffer, so that pickle passes them on separately."""
    if isinstance(found, bytes):
        return pickle.PickleBuffer(found)
    return tuple(map(_with_body_apart, found)) if type(found) is tuple else found


def _receive(gateway: socket.socket, size: int) -> bytes:
    """Return `size` bytes. End the process if the gateway is gone."""
    data = io.BytesIO()
    while left := size - data.tell():
        piece = gateway.recv(min(left, RECEIVED_AT_ONCE))
        if not piece:
            sys.exit(0)
        data.write(piece)
    return data.getvalue()


if __name__ == "__main__":
    main()
