"""What a client chooses beside its model is held for at the dearest, or refused: every field, header and tool."""

import csv
import importlib.resources
import json
from typing import cast
from urllib.parse import quote

import pytest
from tests.services.desk import (
    CHAT,
    EMBED,
    GEMINI,
    HELLO,
    MESSAGES,
    PRO,
    RESPONSES,
    RULES,
    UNTRIED,
    Desk,
    chat,
    generate,
    message,
    respond,
    shipped_book,
)

from pertoken.catalogs import covers, providers
from pertoken.catalogs.limits import ModelLimits
from pertoken.core.admission import amount_of
from pertoken.core.bounds import FAMILIES, widest
from pertoken.core.errors import Code, Refusal
from pertoken.core.price_book import PriceBook, Sellers
from pertoken.core.prices import Match, PriceRow
from pertoken.ports.headers import HeaderList
from pertoken.services.call.hold import first_bound
from pertoken.services.call.request import Request
from pertoken.services.offers import ModelRoute
from pertoken.wire.request_rules import HARMLESS, Does, FieldRule, Where


@pytest.fixture(scope="module")
def book() -> PriceBook:
    """Return the shipped price book, with what the registry knows of its sellers."""
    return shipped_book()


@pytest.fixture(scope="module")
def desk(book: PriceBook) -> Desk:
    """Return a desk with the shipped prices."""
    return Desk(book)


@pytest.mark.parametrize("provider", ["openai", "somebody-new"])
@pytest.mark.parametrize(
    "choice",
    [
        {"models": ["o1-pro"]},
        {"models": ["gpt-4o-mini", "o1-pro", "gpt-4o"]},
        {"models": [{"model": "o1-pro"}]},
        {"models": "o1-pro"},
        {"fallbacks": ["o1-pro"]},
        {"fallbacks": [{"gpt-4o-mini": ["o1-pro"]}]},
        {"route": "fallback", "models": ["o1-pro"]},
    ],
)
def test_other_models_are_held_for(book: PriceBook, provider: str, choice: dict[str, object]) -> None:
    """A call that another model may serve is held for at the dearest of them all."""
    rows = [row._replace(provider=provider) for row in book.rows if row.provider == "openai"]
    desk = Desk(PriceBook(rows))

    dearest = desk.amount(provider, CHAT, chat("o1-pro", **choice))

    assert desk.amount(provider, CHAT, chat("gpt-4o-mini", **choice)) >= dearest
    assert dearest > 100 * desk.amount(provider, CHAT, chat("gpt-4o-mini"))


@pytest.mark.parametrize("choice", [{"models": ["openrouter/auto"]}, {"models": ["nobody/knows"]}])
def test_an_unpriced_model_among_them_is_refused(desk: Desk, choice: dict[str, object]) -> None:
    """A list with one model whose price is not known has no bound."""
    refusal = desk.refusal("openrouter", CHAT, chat("openai/gpt-4o-mini", **choice))

    assert refusal.code is Code.PRICE_UNKNOWN
    assert str(choice["models"][0]) in refusal.message  # type: ignore[index]


def test_the_widest_tokenizer_of_several_models_bounds_the_input(desk: Desk) -> None:
    """A model that makes more tokens of the same bytes is bounded as itself, also as one of several."""
    long = [{"role": "user", "content": "x" * 4_000}]
    choice = {"models": ["anthropic/claude-opus-4.1"]}
    alone = desk.amount("openrouter", CHAT, chat("anthropic/claude-opus-4.1", messages=long))

    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", messages=long, **choice)) > alone


def test_what_is_not_known_of_several_models_is_taken_at_the_most(desk: Desk) -> None:
    """The longest answer of all bounds the output; an answer without a model is charged as the dearest of them."""
    body = {"model": "gpt-3.5-turbo", "messages": HELLO, "models": ["o1-pro"]}
    request = desk.understand("openai", CHAT, body, (), b"")

    assert isinstance(request, Request)
    assert request.limits.output_tokens_max == ModelLimits().find("openai", "o1-pro").output_tokens_max
    assert (request.model, request.priced_as) == ("gpt-3.5-turbo", "o1-pro")


def test_a_cheap_choice_that_is_not_granted_is_not_counted_on(book: PriceBook) -> None:
    """Of a cheaper tier in a dearer region, the dearer region alone may be what is charged."""
    [row] = [
        one for one in book.rows
        if (one.provider, one.model, one.unit) == ("openai", "gpt-4", "input_tokens") and not one.conditions
    ][:1]  # fmt: skip
    row = row._replace(provider="anthropic", model="claude-x", match=Match.EQUALS, amount_picos=10**6, per=1, rule=None)
    rows = [
        row,
        row._replace(unit="output_tokens"),
        row._replace(amount_picos=10**5, conditions=(("service_tier", "flex"),)),
        row._replace(unit="tokens", is_factor=True, currency="", amount_picos=2, conditions=(("region", "us"),)),
    ]
    desk = Desk(PriceBook(rows))
    both = desk.amount("anthropic", MESSAGES, message("claude-x", inference_geo="us", service_tier="flex"))

    assert both >= desk.amount("anthropic", MESSAGES, message("claude-x", inference_geo="us"))


def test_a_provider_that_nobody_reviewed_may_be_any(book: PriceBook) -> None:
    """What one provider reads, one of another name may read as well: it may be the same one."""
    rows = [row._replace(provider="my-own") for row in book.rows if row.provider == "openai"]
    names = ("gpt-4o:nitro", "@preset/dear")
    desk = Desk(PriceBook([*rows, *dearer(rows)]), {name: ModelRoute("my-own", name, "gpt-4o") for name in names})

    assert desk.amount("my-own", CHAT, chat("gpt-4o:nitro")) > 9 * desk.amount("my-own", CHAT, chat("gpt-4o"))
    assert desk.refusal("my-own", CHAT, chat("@preset/dear")).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("one", FAMILIES)
@pytest.mark.parametrize("other", FAMILIES)
def test_the_widest_family_is_no_narrower_than_either(one: str, other: str) -> None:
    """What bounds two families bounds each."""
    both = widest(FAMILIES[one], FAMILIES[other])

    for family in (FAMILIES[one], FAMILIES[other]):
        assert both.byte_factor_percent >= family.byte_factor_percent
        assert both.count_factor_percent >= family.count_factor_percent
        assert both.frame_tokens + both.message_tokens + both.tools_tokens + both.byte_extra >= (
            family.frame_tokens + family.message_tokens + family.tools_tokens + family.byte_extra
        )
        assert both.single_digits or not family.single_digits


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"serviceTier": "priority"}, ()),
        ({"service_tier": "PRIORITY"}, ()),
        ({}, ((b"x-vertex-ai-llm-shared-request-type", b"priority"),)),
        ({}, ((b"x-vertex-ai-llm-shared-request-type", b" Priority "),)),
    ],
)
@pytest.mark.parametrize("provider", ["google", "google-vertex", "somebody-new"])
def test_a_tier_in_a_field_or_a_header(
    book: PriceBook, provider: str, fields: dict[str, object], headers: HeaderList
) -> None:
    """A dearer tier is held for at its own price, wherever it is asked for; settling knows of it, too."""
    rows = [row._replace(provider=provider) for row in book.rows if row.provider == "google"]
    desk = Desk(PriceBook(rows, Sellers(covers={provider: covers.read()["google"]})))
    standard = desk.amount(provider, GEMINI, generate())
    request = desk.understand(provider, GEMINI, generate(**fields), headers, b"")

    assert desk.amount(provider, GEMINI, generate(**fields), headers) > standard * 1.5
    assert isinstance(request, Request)
    assert str(request.facts.service_tier).lower() == "priority"


@pytest.mark.parametrize(
    ("provider", "path", "body", "headers"),
    [
        ("google", PRO, generate(), ((b"x-vertex-ai-llm-shared-request-type", b"brand-new"),)),
        ("groq", CHAT, chat("openai/gpt-oss-120b", service_tier="performance"), ()),
        ("openai", CHAT, chat("gpt-4o-mini", service_tier="scale"), ()),
        ("openai", CHAT, chat("gpt-4o-mini", service_tier=" priority"), ()),
        ("anthropic", MESSAGES, message(inference_geo="eu"), ()),
        ("anthropic", MESSAGES, message(speed="fast"), ()),
        ("anthropic", MESSAGES, message(fallbacks=[{"model": "claude-haiku-4-5", "speed": "fast"}]), ()),
        ("anthropic", MESSAGES, message(fallbacks="default"), ()),
        ("groq", CHAT, chat("llama-3.3-70b-versatile", search_parameters={"mode": "auto"}), ()),
        ("groq", CHAT, chat("llama-3.3-70b-versatile", tools=[{"type": "browser_search"}]), ()),
    ],
)
def test_what_has_no_price_is_refused(
    desk: Desk, provider: str, path: str, body: dict[str, object], headers: HeaderList
) -> None:
    """A tier, a region, a speed, a model or an extra without a price is refused as that."""
    assert desk.refusal(provider, path, body, headers).code is Code.PRICE_UNKNOWN


def test_a_tier_chosen_twice_is_refused(desk: Desk) -> None:
    """A header that contradicts the body leaves open which of them counts."""
    flex = ((b"x-vertex-ai-llm-shared-request-type", b"flex"),)

    assert "twice" in desk.refusal("google", GEMINI, generate(serviceTier="priority"), flex).message
    assert "twice" in desk.refusal("google", GEMINI, generate(serviceTier="flex", service_tier="priority")).message
    both = (*flex, (b"x-vertex-ai-llm-shared-request-type", b"priority"))
    assert "twice" in desk.refusal("google", GEMINI, generate(), both).message


def test_the_project_of_the_client_may_have_a_dearer_tier(desk: Desk) -> None:
    """What OpenAI may serve in priority, as a project is set, is held for as that."""
    long = respond(input="word " * 1_000)  # so that the few bytes of a field make no difference
    standard = desk.amount("openai", RESPONSES, long)

    assert desk.amount("openai", RESPONSES, {**long, "service_tier": "priority"}) > 1.9 * standard
    assert desk.amount("openai", RESPONSES, {**long, "service_tier": "auto"}) > 1.9 * standard
    assert desk.amount("openai", RESPONSES, long, ((b"openai-project", b"proj_1"),)) > 1.9 * standard
    assert desk.amount("openai", RESPONSES, {**long, "service_tier": "default"}) < 1.1 * standard


@pytest.mark.parametrize("header", [b"openai-project", b"OpenAI-Organization"])
@pytest.mark.parametrize(("path", "body"), [(RESPONSES, respond()), (CHAT, chat("gpt-5.6-sol"))])
@pytest.mark.parametrize("tier", ["auto", "default", "flex", "priority"])
def test_a_tier_in_the_body_wins_over_that_of_the_project(
    desk: Desk, path: str, body: dict[str, object], header: bytes, tier: str
) -> None:
    """A request that names its tier is held for as that one, whatever its project is set to."""
    named = {**body, "service_tier": tier}

    assert desk.amount("openai", path, named, ((header, b"x"),)) == desk.amount("openai", path, named)


def test_one_answer_of_one_is_no_choice(desk: Desk) -> None:
    """A request for the best of one answer makes one answer, and is held for as that; the best of two is refused."""
    body = chat("gpt-4o-mini", messages=[{"role": "user", "content": "word " * 1_000}])

    assert desk.amount("openai", CHAT, {**body, "best_of": 1}) < 1.1 * desk.amount("openai", CHAT, body)
    assert "best_of" in desk.refusal("openai", CHAT, {**body, "best_of": 2}).message


def test_a_part_of_what_was_asked_may_be_granted(desk: Desk) -> None:
    """Cheap and dear choices together are held for as the dear one alone: the cheap one may not be granted."""
    dear = desk.amount("anthropic", MESSAGES, message("claude-opus-4-8", inference_geo="us"))

    assert dear > desk.amount("anthropic", MESSAGES, message("claude-opus-4-8"))
    assert desk.amount("anthropic", MESSAGES, message("claude-opus-4-8", inference_geo="us", speed="fast")) > dear


@pytest.mark.parametrize(
    ("provider", "path", "body", "unit", "most"),
    [
        ("openai", RESPONSES, respond(tools=[{"type": "file_search"}]), "file_searches", 10),
        ("openai", RESPONSES, respond(tools=[{"type": "file_search"}], max_tool_calls=3), "file_searches", 3),
        ("openai", RESPONSES, respond(tools=[{"type": "code_interpreter", "container": {"type": "auto"}}]),
         "code_sessions", 1),
        ("openai", RESPONSES, respond(tools=[{"type": "code_interpreter",
                                              "container": {"type": "auto", "memory_limit": "64g"}},
                                             {"type": "shell", "environment": {"type": "container_auto"}},
                                             {"type": "shell", "environment": {"type": "local"}}]),
         "code_sessions", 2),
        ("openai", RESPONSES, respond(tools=[{"type": "web_search"}, {"type": "file_search"}]), "web_searches", 10),
        ("anthropic", MESSAGES, message(tools=[{"type": "code_execution_20260521", "name": "c"}]), "code_sessions", 1),
        ("anthropic", MESSAGES, message(tools=[{"type": "web_search_20260318", "name": "w", "max_uses": 7}]),
         "web_searches", 7),
        ("google", PRO, generate(tools=[{"googleMaps": {}}]), "map_queries", 10),
        ("google", PRO, generate(tools={"google_maps": {}}), "map_queries", 10),
        ("google", PRO, generate(tools=[{"googleSearch": {}}]), "web_searches", 10),
        ("openrouter", CHAT, chat("anthropic/claude-haiku-5.5", plugins=[{"id": "web", "max_results": 3}]),
         "web_searches", 3),
        ("openrouter", CHAT, chat("anthropic/claude-haiku-5.5", plugins=[{"id": "web"}]), "web_searches", 5),
        ("openrouter", CHAT, chat("anthropic/claude-haiku-5.5", tools=[{"type": "openrouter:web_search"}]),
         "web_searches", 100),
        ("openrouter", CHAT, chat("anthropic/claude-haiku-5.5", web_search_options={}), "web_searches", 1),
        ("openrouter", CHAT, chat("openai/o3-deep-research"), "web_searches", 100),
        ("openrouter", CHAT, chat("openai/o4-mini-deep-research"), "web_searches", 100),
    ],
)  # fmt: skip
def test_paid_extras_are_held_for(
    desk: Desk, book: PriceBook, provider: str, path: str, body: dict[str, object], unit: str, most: int
) -> None:
    """The most of each paid extra that a request can cause is in its bound, at its price."""
    request = desk.understand(provider, path, body, (), b"")
    assert isinstance(request, Request), request
    bound = first_bound(request, UNTRIED)
    assert not isinstance(bound, Refusal)
    without = {**bound.quantities, unit: 0}
    price = max(tier.price(unit).amount(most) for one in request.rates for tier in one.tiers)  # type: ignore[union-attr]

    assert bound.quantities[unit] == most
    assert price > 0
    assert amount_of(request, bound) == amount_of(request, bound._replace(quantities=without)) + price  # type: ignore[operator]


@pytest.mark.parametrize(("memory", "times"), [(None, 1), ("1g", 1), ("4g", 4), ("16g", 16), ("64g", 64)])
def test_a_container_is_held_for_by_its_memory(desk: Desk, memory: str | None, times: int) -> None:
    """A larger container costs more; of several, each is held for as the largest. One without a price is refused."""
    session = 3 * 10**10  # 0.03 dollars, in picos
    tool = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": memory}}
    plain = desk.amount("openai", RESPONSES, respond(tools=[{"type": "mcp"}]))

    one = desk.amount("openai", RESPONSES, respond(tools=[tool]))
    two = desk.amount("openai", RESPONSES, respond(tools=[tool, {"type": "shell"}]))
    assert times * session <= one < plain + (times + 1) * session
    assert two - one >= times * session
    new = {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "1t"}}
    assert desk.refusal("openai", RESPONSES, respond(tools=[tool, new])).code is Code.PRICE_UNKNOWN


@pytest.mark.parametrize(
    ("provider", "path", "body", "said"),
    [
        ("openrouter", CHAT, chat("openai/gpt-4o-mini", preset="dear"), "preset"),
        ("openrouter", CHAT, chat("openai/gpt-4o-mini", plugins=[{"id": "brand-new"}]), "plugin"),
        ("openrouter", CHAT, chat("openai/gpt-4o-mini", plugins=[{"id": "auto-router"}]), "router"),
        ("openai", CHAT, chat("gpt-4o-mini", extra_body={"service_tier": "priority"}), "extra_body"),
        ("openai", CHAT, chat("gpt-4o-mini", best_of=20), "best_of"),
        ("openai", CHAT, chat("gpt-4o-mini", Model="o1-pro"), "Model"),
        ("openai", CHAT, chat("gpt-4o-mini", maxTokens=100_000), "maxTokens"),
        ("openai", CHAT, chat("gpt-4o-mini", service_Tier="priority"), "service_Tier"),
        ("openai", CHAT, chat("gpt-4o-mini", tools=[{"type": "brand_new"}]), "brand_new"),
        ("openai", RESPONSES, respond(tools=[{"type": "image_generation"}]), "image_generation"),
        ("openai", RESPONSES, respond(tools=[{"type": "image_generation"}]), "call the images API directly"),
        ("openai", RESPONSES, respond(tools=[{"type": "brand_new"}]), "brand_new"),
        ("openai", RESPONSES, respond(prompt={"id": "pmpt_1"}), "prompt"),
        ("openai", RESPONSES, respond(reasoning={"mode": "pro"}), "reasoning.mode"),
        ("groq", CHAT, chat("openai/gpt-oss-120b", compound_custom={"models": {}}), "compound_custom"),
        ("anthropic", MESSAGES, message(tools=[{"type": "advisor_20260301", "model": "claude-opus-5"}]), "advisor"),
        ("anthropic", MESSAGES, message(tools=[{"type": "brand_new_20270101"}]), "brand_new"),
        ("anthropic", MESSAGES, message(billing_policy={"type": "billing_policy"}), "billing_policy"),
        ("anthropic", MESSAGES, message(fallbacks=[{"model": "claude-haiku-4-5", "max_tokens": 9_000}]), "max_tokens"),
        ("google", PRO, generate(tools=[{"exaAiSearch": {}}]), "exaAiSearch"),
        ("google", PRO, generate(tools=[{"brandNew": {}}]), "brandNew"),
        ("google", PRO, {"contents": [], "generationConfig": {"routingConfig": {"autoMode": {}}}}, "routingConfig"),
        ("google", PRO, {"contents": [], "generation_config": {"routing_config": {"a": 1}}}, "routing_config"),
    ],
)
def test_choices_without_a_bound_are_refused(
    desk: Desk, provider: str, path: str, body: dict[str, object], said: str
) -> None:
    """What cannot be bounded is refused, and the field is named."""
    refusal = desk.refusal(provider, path, body)

    assert refusal.code is Code.INVALID_REQUEST
    assert said in refusal.message


def test_another_model_in_a_batch_of_embeddings_is_held_for(desk: Desk) -> None:
    """Each piece of a batch may name a model: one that has no price is refused, that of the path is no other one."""
    path = EMBED.replace("embedContent", "batchEmbedContents")
    content = {"parts": [{"text": "hi"}]}
    own = {"requests": [{"model": "models/gemini-embedding-001", "content": content}]}
    other = {"requests": [{"model": "models/nobody-knows", "content": content}]}

    assert desk.amount("google", path, own) > 0
    assert desk.refusal("google", path, other).code is Code.PRICE_UNKNOWN


def test_null_and_no_choose_nothing(desk: Desk) -> None:
    """A field that is null, false or empty is as good as none."""
    empty = {"models": None, "preset": None, "provider": {"order": [], "only": None, "zdr": False}, "plugins": []}

    plain = desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini"))
    assert plain <= desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", **empty)) < plain * 4


def test_a_highest_price_bounds_who_sells(desk: Desk) -> None:
    """A client that says what it pays at most may choose the seller: that much is held, where it is above the list."""
    asked = {"order": ["dear"], "max_price": {"prompt": 100, "completion": 200}}
    cheap = {"order": ["dear"], "max_price": {"prompt": 0, "completion": "0"}}

    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", provider=asked)) >= 100 * 200 * 10**6
    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", provider=cheap)) >= desk.amount(
        "openrouter", CHAT, chat("openai/gpt-4o-mini")
    )
    read = {"order": ["dear"], "max_price": {"prompt": 100, "completion": 0}}
    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", provider=read)) >= 100 * 200 * 10**6
    half = {"order": ["dear"], "max_price": {"prompt": 1}}
    assert "max_price" in desk.refusal("openrouter", CHAT, chat("openai/gpt-4o-mini", provider=half)).message


def test_each_fallback_may_be_charged(desk: Desk) -> None:
    """A model that declines is charged as well as the one that takes over: each of three is held for at the dearest."""
    choice = {"fallbacks": [{"model": "claude-opus-4-1"}, {"model": "claude-haiku-4-5"}]}
    alone = desk.amount("anthropic", MESSAGES, message("claude-opus-4-1", **choice)) // 3

    assert desk.amount("anthropic", MESSAGES, message(**choice)) >= 3 * alone
    assert alone >= desk.amount("anthropic", MESSAGES, message("claude-opus-4-1"))


@pytest.mark.parametrize(
    ("provider", "path", "body", "kinds"),
    [
        ("openai", RESPONSES, respond(), ["local_shell"]),
        ("openai", RESPONSES, respond(), ["apply_patch"]),
        ("openai", RESPONSES, respond(), ["computer"]),
        ("openai", RESPONSES, respond(), ["computer_use_preview"]),
        ("openai", RESPONSES, respond(), ["local_shell", "apply_patch"]),
        ("anthropic", MESSAGES, message(), ["computer_20250124"]),
        ("anthropic", MESSAGES, message(), ["bash_20250124"]),
        ("anthropic", MESSAGES, message(), ["computer_20250124", "bash_20250124", "text_editor_20250728"]),
        ("anthropic", MESSAGES, message(), ["memory_20250818"]),
    ],
)
def test_tools_that_run_at_the_client_hide_no_input(
    desk: Desk, provider: str, path: str, body: dict[str, object], kinds: list[str]
) -> None:
    """A provider's own tool that the client runs adds at most its explanation to the input: 1,000 to 3,000 tokens."""
    tools = [{"type": kind} for kind in kinds]
    bounds = []
    for sent in ({**body, "tools": [{"type": "custom", "name": kind} for kind in kinds]}, {**body, "tools": tools}):
        request = desk.understand(provider, path, sent, (), b"")
        assert isinstance(request, Request), request
        bound = first_bound(request, UNTRIED)
        assert not isinstance(bound, Refusal)
        bounds.append(bound.quantities["input_tokens"])

    assert 900 * len(kinds) < bounds[1] - bounds[0] <= 3_000 * len(kinds)


@pytest.mark.parametrize(
    ("provider", "path", "body"),
    [
        ("anthropic", MESSAGES, message(tools=[{"type": "computer_toolset_20260301", "name": "c"}])),
        ("openai", RESPONSES, respond(tools=[{"type": "local_shell"}, {"type": "mcp", "server_url": "x"}])),
        ("anthropic", MESSAGES, message(thread={"type": "continue", "previous_message_id": "msg_1"})),
        ("anthropic", MESSAGES, message(tools=[{"type": "web_fetch_20260318", "name": "f"}])),
        ("openai", RESPONSES, respond(tools=[{"type": "mcp", "server_url": "x"}])),
        ("openrouter", CHAT, chat("anthropic/claude-haiku-5.5", plugins=[{"id": "file-parser"}])),
        ("openrouter", CHAT, chat("openai/o3-deep-research")),
        ("google", PRO, generate(tools=[{"urlContext": {}}])),
        ("google", PRO, generate(continuationToken="t")),
    ],
)
def test_hidden_input_is_held_for(desk: Desk, provider: str, path: str, body: dict[str, object]) -> None:
    """What lets the model read more than the body shows is held for with all that the model can read."""
    request = desk.understand(provider, path, body, (), b"")
    assert isinstance(request, Request)
    bound = first_bound(request, UNTRIED)

    assert not isinstance(bound, Refusal)
    assert bound.quantities["input_tokens"] >= (request.limits.context_tokens or 2_000_000)


SONAR = {"prompt_tokens": 19, "completion_tokens": 8196, "citation_tokens": 20028, "reasoning_tokens": 193904}


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("perplexity", chat("sonar-deep-research", max_tokens=8196)),
        ("openrouter", chat("perplexity/sonar-deep-research", max_tokens=8196)),
        ("openrouter", chat("openai/gpt-6-sol", models=["perplexity/sonar-deep-research"], max_tokens=8196)),
    ],
)
def test_a_model_that_researches_is_held_for_beyond_its_cap(desk: Desk, provider: str, body: dict[str, object]) -> None:
    """What such a model searches, cites and reasons beside the capped answer is held for: more than has been seen."""
    request = desk.understand(provider, CHAT, body, (), b"")
    assert isinstance(request, Request), request
    bound = first_bound(request, UNTRIED)

    assert not isinstance(bound, Refusal)
    assert bound.quantities["web_searches"] == 100
    assert bound.quantities["output_tokens"] > 2 * sum(SONAR.values())
    assert desk.amount(provider, CHAT, body) > 777_374_000_000  # what a call with these counts was charged


@pytest.mark.parametrize(
    ("model", "picos"),
    [
        ("openai/gpt-4o-search-preview", 25 * 10**9),
        ("openai/gpt-4o-mini-search-preview", 25 * 10**9),
        ("perplexity/sonar", 12 * 10**9),
        ("perplexity/sonar-pro", 14 * 10**9),
        ("perplexity/sonar-reasoning", 14 * 10**9),
        ("perplexity/sonar-reasoning-pro", 14 * 10**9),
        ("perplexity/sonar-pro-search", 14 * 10**9),
    ],
)
def test_a_resold_model_that_searches_is_held_for_with_its_fee(desk: Desk, model: str, picos: int) -> None:
    """The fee of the search that such a model makes in every call is held for, also where it is one of several."""
    size = {"web_search_options": {"search_context_size": "low"}} if model.startswith("openai") else {}

    assert desk.amount("openrouter", CHAT, chat(model)) > picos
    assert desk.amount("openrouter", CHAT, chat(model, **size)) > picos
    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", models=[model])) > picos


def test_the_names_of_other_models_choose_as_the_own_one_does(desk: Desk) -> None:
    """A name that chooses the fastest seller, or a preset, does so as well among the models that may serve."""
    nitro = desk.amount("openrouter", CHAT, chat("deepseek/deepseek-r1:nitro"))
    preset = desk.refusal("openrouter", CHAT, chat("openai/gpt-4o-mini", models=["@preset/dear"]))

    assert desk.amount("openrouter", CHAT, chat("openai/gpt-4o-mini", models=["deepseek/deepseek-r1:nitro"])) >= nitro
    assert nitro > 2 * desk.amount("openrouter", CHAT, chat("deepseek/deepseek-r1"))
    assert preset.code is Code.INVALID_REQUEST
    assert "preset" in preset.message


def test_compaction_is_a_run_of_its_own(desk: Desk) -> None:
    """A request that may compact is held for twice; one that clears is not."""
    compact = {"edits": [{"type": "compact_20260112"}]}
    clear = {"edits": [{"type": "clear_tool_uses_20250919"}]}

    assert desk.amount("anthropic", MESSAGES, message(context_management=compact)) > 1.9 * desk.amount(
        "anthropic", MESSAGES, message(context_management=clear)
    )


def test_a_prediction_may_be_charged_as_output(desk: Desk) -> None:
    """Rejected words of a prediction are charged as output, beside the answer."""
    long = {"type": "content", "content": "word " * 1_000}
    output = 5_000 * 600_000  # gpt-4o-mini's output, in picos

    assert desk.amount("openai", CHAT, chat("gpt-4o-mini", prediction=long)) > output


@pytest.mark.parametrize(
    ("provider", "path", "body"),
    [
        ("openai", CHAT, chat("gpt-4o-mini", n=2**53)),
        ("openai", CHAT, chat("gpt-4o-mini", n=1e15)),
        ("google", PRO, {"contents": [], "generationConfig": {"candidateCount": 2**40}}),
        ("anthropic", MESSAGES, message(tools=[{"type": "web_search_20260318", "name": "w", "max_uses": 2**40}])),
        ("openai", RESPONSES, respond(tools=[{"type": "file_search"}], max_tool_calls=2**40)),
        ("openrouter", CHAT, chat("openai/gpt-4o-mini", plugins=[{"id": "web", "max_results": 2**40}])),
    ],
)
def test_absurd_numbers_are_refused(desk: Desk, provider: str, path: str, body: dict[str, object]) -> None:
    """A number that no API takes is refused: a hold of that size would fit no ledger."""
    assert desk.refusal(provider, path, body).code is Code.INVALID_REQUEST


def test_a_cap_beyond_any_answer_is_lowered(desk: Desk) -> None:
    """A cap that no model could reach is held for as the longest answer there is."""
    most = desk.amount("openai", CHAT, chat("gpt-4o-mini") | {"max_tokens": 2**53})

    assert most < 2 * 600_000 * 2_000_000
    assert most > desk.amount("openai", CHAT, chat("gpt-4o-mini") | {"max_tokens": 1_999_999}) - 10**9


@pytest.mark.parametrize("query", [b"fields=candidates", b"%24fields=candidates", b"alt=proto", b"alt=sse&fields=x"])
def test_an_answer_without_usage_cannot_be_asked_for(desk: Desk, query: bytes) -> None:
    """Query parameters that cut the usage out of an answer are refused."""
    assert desk.refusal("google", PRO, generate(), (), query).code is Code.INVALID_REQUEST
    assert desk.amount("google", PRO, generate(), (), b"alt=sse&prettyPrint=false") > 0


@pytest.mark.parametrize(
    ("path", "body", "sent"),
    [
        (CHAT, b'{"model":"o1-pro","messages":[],"model":"gpt-4o-mini"}', b'{"model":"gpt-4o-mini","messages":[]}'),
        (CHAT, b'{"\\u006dodel":"o1-pro","messages":[],"model":"gpt-4o-mini"}',
         b'{"model":"gpt-4o-mini","messages":[]}'),
        (CHAT, b'{"model": "gpt-4o-mini", "messages": []}', b'{"model":"gpt-4o-mini","messages":[]}'),
        (CHAT, b'{"model":"gpt-4o-mini","messages":[],"n":9,"n":1}', b'{"model":"gpt-4o-mini","messages":[],"n":1}'),
        (CHAT, b'{"model":"gpt-4o-mini","messages":[],"tools":[{"type":"live_search","type":"function"}]}',
         b'{"model":"gpt-4o-mini","messages":[],"tools":[{"type":"function"}]}'),
        (CHAT, b'{"model":"gpt-4o-mini","messages":[],"models":[{"model":"o1-pro","model":"gpt-4o"}]}',
         b'{"model":"gpt-4o-mini","messages":[],"models":[{"model":"gpt-4o"}]}'),
        (CHAT, b'{"model":"gpt-4o-mini","messages":[],"reasoning":{"x":0.70,"mode":"pro","mode":"standard"}}',
         b'{"model":"gpt-4o-mini","messages":[],"reasoning":{"x":0.70,"mode":"standard"}}'),
        (PRO, b'{"contents":[],"generationConfig":{"candidateCount":8,"candidateCount":1}}',
         b'{"contents":[],"generationConfig":{"candidateCount":1}}'),
    ],
)  # fmt: skip
def test_each_field_is_sent_once_as_it_was_read(desk: Desk, path: str, body: bytes, sent: bytes) -> None:
    """A provider that takes the first of two fields, or another spelling, cannot read another request than we did."""
    request = desk.understand("google" if path == PRO else "openai", path, body, (), b"")

    assert isinstance(request, Request), request
    assert request.body == sent


def test_a_body_in_compact_form_is_sent_as_it_came(desk: Desk) -> None:
    """Nothing of a body whose fields each stand once is written anew, not even its numbers and spaces inside."""
    body = (
        b'{"model":"gpt-4o-mini","messages":[ {"role":"user", "content":"hi"}],"temperature":0.70,"brand_new":{"a": 1}}'
    )
    request = desk.understand("openai", CHAT, body, (), b"")

    assert isinstance(request, Request)
    assert request.body is body


def test_numbers_of_a_field_that_steers_stay_numbers(desk: Desk) -> None:
    """A field that is looked into is sent on with its values as they were."""
    body = b'{"contents":[],"generationConfig":{"temperature":0.70,"topP":1e-3,"responseSchema":%b}, "tools":[]}'
    deep = b'{"type":"object","properties":{"routingConfig":' * 90 + b'{"type":"string"}' + b"}}" * 90
    request = desk.understand("google", PRO, body % deep, (), b"")

    assert isinstance(request, Request), request
    assert json.loads(request.body) == json.loads(body % deep)


def test_every_row_has_source_and_date() -> None:
    """Each reviewed row says who says so and when it was read."""
    text = importlib.resources.files("pertoken.data").joinpath("request_fields.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))

    assert all(row["source"] and row["as_of"] >= "2026-11" for row in rows)
    assert all(row["note"] for row in rows if row["does"] in ("refused", "seller", "hidden"))
    assert all(row["provider"] in ("", *providers.registry()) for row in rows)
    assert len({(row["format"], row["provider"], row["where"], row["field"]) for row in rows}) == len(rows)


ACTED_UPON = [rule for rule in RULES.rules if rule.does not in HARMLESS and rule.where is not Where.SERVED]
PATHS = {
    "openai.chat": (CHAT, chat("gpt-5.6-sol"), "openai"),
    "openai.responses": (RESPONSES, respond(), "openai"),
    "anthropic.messages": (MESSAGES, message(), "anthropic"),
    "gemini.generate": (PRO, generate(), "google"),
    "gemini.embed": (EMBED, {"content": {"parts": [{"text": "hi"}]}}, "google"),
    "openai.embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hi"}, "openai"),
}
# How many times dearer a call becomes at least; an extra's exact price is tested above.
DEARER = {Does.SELLER: 5, Does.UNIT: 1.01, Does.OUTPUT: 1.01, Does.REPEAT: 1.9, Does.HIDDEN: 10, Does.CAP: 10}
TEXTS = (Does.MODEL, Does.EACH, Does.TIER, Does.SPEED, Does.REGION)


def dearer(rows: list[PriceRow]) -> list[PriceRow]:
    """Return the prices of somebody who sells the same at ten times the price."""
    return [row._replace(provider="dear", amount_picos=10 * row.amount_picos) for row in rows if not row.is_factor]


def sample(does: Does) -> object:
    """Return a value that a rule acts upon."""
    if does is Does.CAP:
        return {"prompt": 900, "completion": 900}
    return {Does.OUTPUT: "dear " * 99, **dict.fromkeys(TEXTS, "nobody-knows")}.get(does, "dear")


def using(rule: FieldRule, body: dict[str, object]) -> tuple[dict[str, object], HeaderList, bytes]:
    """Return a request with the field of a rule in it: body, headers and query."""
    field, value = rule.field.replace("*", "zzz"), sample(rule.does)
    if rule.where is Where.HEADER:
        return body, ((field.encode(), str(value).encode()),), b""
    if rule.where is Where.QUERY:
        return body, (), f"{quote(field)}={value}".encode()
    if rule.where is Where.NAME:
        return {**body, "model": field}, (), b""
    if rule.where is Where.TOOL:
        return {**body, "tools": [{field: {}} if "contents" in body else {"type": field}]}, (), b""
    key, _, inner = field.partition(".")
    outer, _, kind = field.partition(":")
    if kind:
        return {**body, outer: [{"type": kind}]}, (), b""
    if inner and isinstance(body.get(key), dict):
        return {**body, key: {**cast(dict[str, object], body[key]), inner: value}}, (), b""
    return {**body, key: {"model": body.get("model"), inner: value} if inner else value}, (), b""


@pytest.mark.parametrize("rule", ACTED_UPON, ids=lambda rule: f"{rule.format or 'any'}-{rule.provider}-{rule.field}")
def test_every_listed_field_is_acted_upon(book: PriceBook, rule: FieldRule) -> None:
    """Each field that steers makes the call dearer, or is refused, or is a condition of its price."""
    for wire_format, (path, body, provider) in PATHS.items():
        if not wire_format.startswith(rule.format) or (rule.where is Where.TOOL and "embed" in wire_format):
            continue
        name = rule.provider or provider
        rows = [row._replace(provider=name) for row in book.rows if row.provider == provider]
        field = rule.field.replace("*", "zzz")
        priced_as = "gpt-5.6-sol" if provider == "openai" else str(body.get("model"))
        others = dearer(rows) if rule.does is Does.SELLER else []
        desk = Desk(PriceBook([*rows, *others]), {field: ModelRoute(name, field, priced_as)})
        if RULES.of(wire_format, name).find(rule.where, field) != rule:
            continue  # another row is closer
        chosen = using(rule, body)
        held, request = desk.held(name, path, *chosen), desk.understand(name, path, *chosen)
        plain = desk.amount(name, path, body)

        if isinstance(held, Refusal):
            assert held.code is (Code.PRICE_UNKNOWN if rule.does in (*TEXTS, Does.UNIT) else Code.INVALID_REQUEST), held
        elif rule.does is Does.ATTRIBUTE:
            assert isinstance(request, Request)
            assert request.facts.attributes == ((rule.allows, "dear"),)
        elif rule.allows == "auto":
            assert held > plain * 1.5 or "embed" in path  # which have no dearer tier
        else:
            assert held > plain * DEARER[rule.does]
