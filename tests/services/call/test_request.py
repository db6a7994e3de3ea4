"""A request that is understood."""

from tests.services.call.parts import request_of

from pertoken.core.admission import Bound, amount_of, currency_of


def test_a_request_is_what_admission_asks_of_a_call() -> None:
    """Its hold is decided on what was offered: prices, family, sizes."""
    request = request_of()

    assert (request.provider.name, request.model, request.format.name) == ("openai", "m-1", "openai.chat")
    assert currency_of(request) == "USD"
    assert amount_of(request, Bound({"input_tokens": 1, "output_tokens": 1}, 1, counted=True)) > 0
