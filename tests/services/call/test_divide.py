"""What usage may count without saying so."""

from tests.services.call.parts import request_of

from pertoken.core.admission import Bound
from pertoken.core.rates import NoPrice, Rates
from pertoken.core.usage import Completeness, Reading, Used
from pertoken.services.call.divide import kept_longer, may_be_undivided, undivided

TOLD = Reading({"input_tokens": 50, "output_tokens": 5}, Completeness.FINAL, raw=b"{}")
USED = Used({"input_tokens": 50, "output_tokens": 5})


def rates() -> Rates | NoPrice:
    """Return prices at which each unit costs something else."""
    return request_of().rates[0]


def test_a_text_is_a_text() -> None:
    """Nothing else was asked for, sent or made."""
    bound = Bound({"input_tokens": 100, "output_tokens": 100}, 100, counted=True)

    assert not may_be_undivided(request_of(), TOLD)
    assert undivided(request_of(), bound, TOLD, USED, rates()) == ()


def test_what_was_sent_may_be_what_was_counted() -> None:
    """Of fifty tokens up to thirty may be sound, where so many were held for; all fifty may not."""
    bound = Bound({"input_tokens": 100, "input_audio_tokens": 30, "output_tokens": 100}, 100, counted=True)
    request = request_of(has_media=True)
    meant = [one.quantities for one in undivided(request, bound, TOLD, USED, rates())]

    assert may_be_undivided(request, TOLD)
    assert {"input_tokens": 50, "input_audio_tokens": 30, "output_tokens": 5} in meant
    assert max(one["input_audio_tokens"] for one in meant) == 30


def test_what_is_written_may_be_kept_for_an_hour() -> None:
    """Unless usage says for how long."""
    written = Used({"input_tokens": 50, "cache_write_tokens": 20, "output_tokens": 5})
    said = Used({**written.quantities, "cache_write_1h_tokens": 20})
    [meant] = kept_longer(TOLD, (written,))

    assert meant.quantities["cache_write_1h_tokens"] == 20
    assert kept_longer(TOLD, (said,)) == ()
