"""Calls the simulator without a socket."""

from typing import Any

from pertoken.simulator.app import create_app


async def post(
    path: str, body: bytes, api_key: str = "k", query: bytes = b""
) -> tuple[int, bytes, list[dict[str, Any]]]:
    """Return status and body of an answer, and the simulator's invoice."""
    app = create_app()
    headers = [(b"authorization", f"Bearer {api_key}".encode())]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": headers}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:]), app.ledger.invoice()
