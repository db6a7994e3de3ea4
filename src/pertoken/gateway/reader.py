"""A process that reads and counts for a gateway what is heavy: `python -m pertoken.gateway.reader FD`.

It gets one job after the other on a socket that it shares with its gateway, and ends when the gateway does. A job is
two sizes, then what to do, pickled, then the body. The answer is two sizes, then what was found, pickled, then the
body that was found, if one was: so it is not copied.
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
NICE = 5  # where they share a core, the gateway goes first: all its calls wait for it, one call waits for us
FOUND = struct.Struct("<QQ")


def main() -> None:
    """Serve the socket that the gateway passed on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the gateway serves its last calls, and its end is ours
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
    """Return, pickled, whether the body can be read, and what was found in it, or what is wrong; and a body found."""
    work, args = pickle.loads(job)  # noqa: S301 - the gateway wrote it
    try:
        found = True, works.do(work, body, args, tokenizers)
    except BadRequest as error:
        found = False, (error.message, error.param)
    bodies: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(_with_body_apart(found), protocol=5, buffer_callback=bodies.append)
    return pickled, bodies[0].raw() if bodies else b""


def _with_body_apart(found: Any) -> Any:
    """Return what was found with the body in it, or that it is, marked as such."""
    if isinstance(found, bytes):
        return pickle.PickleBuffer(found)
    return tuple(map(_with_body_apart, found)) if type(found) is tuple else found


def _receive(gateway: socket.socket, size: int) -> bytes:
    """Return so many bytes; end where the gateway is gone."""
    data = io.BytesIO()
    while left := size - data.tell():
        piece = gateway.recv(min(left, RECEIVED_AT_ONCE))
        if not piece:
            sys.exit(0)
        data.write(piece)
    return data.getvalue()


if __name__ == "__main__":
    main()
