"""What a client may choose without harm is not refused, and is held for at what it can cost."""

import pytest
from tests.services.desk import (
    AT_US,
    CHAT,
    GEMINI,
    MESSAGES,
    PRO,
    RESPONSES,
    UNTRIED,
    Desk,
    chat,
    generate,
    message,
    respond,
    shipped_book,
)

from pertoken.core.admission import Bound, amount_of
from pertoken.core.errors import Code, Refusal
from pertoken.core.money import format_amount
from pertoken.core.rates import Rates
from pertoken.services.call.hold import first_bound
from pertoken.services.call.request import Request
from pertoken.services.offers import Offers

BOOK = shipped_book()
DESK = Desk(BOOK)
MINI = "openai/gpt-4o-mini"
CENT = 10**10  # picos


def bound_of(provider: str, path: str, body: object) -> tuple[Request, Bound]:
    """Return a request as understood, and what is held for in units."""
    request = DESK.understand(provider, path, body, (), b"")
    assert isinstance(request, Request), request
    bound = first_bound(request, UNTRIED)
    assert isinstance(bound, Bound), bound
    return request, bound


def price(provider: str, model: str, unit: str = "output_tokens") -> int:
    """Return what a million of a unit costs, in picos."""
    rates = BOOK.resolve(provider, model, AT_US)
    assert isinstance(rates, Rates), rates
    found = rates.tiers[-1].price(unit)
    assert found is not None
    return found.amount(10**6)


# provider, path, body, the extra's unit, how many are held for, what they cost in picos
EXTRAS = [
    ("x-ai", CHAT, chat("grok-4.3", search_parameters={"mode": "auto"}), "web_searches", 20, 50 * CENT),
    ("x-ai", CHAT, chat("grok-4.3", search_parameters={"max_search_results": 4}), "web_searches", 4, 10 * CENT),
    ("x-ai", CHAT, chat("grok-4.3", tools=[{"type": "live_search"}]), "web_searches", 20, 50 * CENT),
    ("x-ai", CHAT, chat("grok-4.3", tools=[{"type": "web_search"}]), "web_searches", 50, 25 * CENT),
    ("x-ai", CHAT, chat("grok-4.3", tools=[{"type": "x_search"}, {"type": "web_search"}]), "web_searches", 100,
     50 * CENT),
    ("x-ai", RESPONSES, respond("grok-4.7", tools=[{"type": "x_search"}]), "web_searches", 50, 25 * CENT),
    ("x-ai", RESPONSES, respond("grok-4.7", tools=[{"type": "web_search"}]), "web_searches", 60, 30 * CENT),
    ("x-ai", RESPONSES, respond("grok-4.7", tools=[{"type": "web_search"}], max_tool_calls=1), "web_searches", 51,
     51 * CENT // 2),
    ("x-ai", CHAT, chat("grok-4.7", tools=[{"type": "code_execution"}]), "code_sessions", 50, 25 * CENT),
    ("x-ai", RESPONSES, respond("grok-4.7", tools=[{"type": "code_interpreter"}]), "code_sessions", 51, 51 * CENT // 2),
    ("x-ai", RESPONSES, respond("grok-4.7", tools=[{"type": "file_search"}]), "file_searches", 50, 25 * CENT // 2),
    ("x-ai", CHAT, chat("grok-4.7", tools=[{"type": "collections_search"}]), "file_searches", 50, 25 * CENT // 2),
    ("x-ai", RESPONSES, respond("grok-4.7", input=[{"role": "user", "content": [{"type": "input_file",
                                                                                 "file_id": "f"}]}]),
     "file_searches", 200, 50 * CENT),
    ("x-ai", CHAT, chat("grok-4.7", messages=[{"role": "user", "content": [{"type": "file", "file": {}}]}]),
     "file_searches", 200, 50 * CENT),
    ("openrouter", CHAT, chat(f"{MINI}:online"), "web_searches", 5, 5 * CENT),
    ("openrouter", CHAT, chat(f"{MINI}:online:floor"), "web_searches", 5, 5 * CENT),
    ("openrouter", CHAT, chat(MINI, models=["mistralai/mistral-nemo:free:online"]), "web_searches", 5, 5 * CENT),
    ("openrouter", CHAT, chat("deepseek/deepseek-r1", plugins=[{"id": "web", "max_results": 7}]), "web_searches", 7,
     7 * CENT),
    ("openrouter", CHAT, chat("deepseek/deepseek-r1", tools=[{"type": "openrouter:web_search"}]), "web_searches", 100,
     100 * CENT),
    ("openai", RESPONSES, respond("o3-deep-research", tools=[{"type": "web_search_preview"}]), "web_searches", 100,
     100 * CENT),
    ("openai", RESPONSES, respond("o4-mini-deep-research-2025-06-26", tools=[{"type": "web_search"}]), "web_searches",
     100, 100 * CENT),
    ("openai", RESPONSES, respond("o3-deep-research", tools=[{"type": "web_search"}], max_tool_calls=7), "web_searches",
     7, 7 * CENT),
    ("openai", RESPONSES, respond("o4-mini-deep-research", tools=[{"type": "file_search"}]), "file_searches", 100,
     25 * CENT),
    ("openai", RESPONSES, respond("gpt-5.6-sol", tools=[{"type": "web_search"}]), "web_searches", 10, 10 * CENT),
    ("openai", RESPONSES, respond("gpt-5.6-sol", tools=[{"type": "shell", "environment": {"type": "container_auto"}}]),
     "code_sessions", 1, 3 * CENT),
    ("openai", RESPONSES, respond("gpt-5.6-sol", tools=[{"type": "shell"}]), "code_sessions", 1, 3 * CENT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "path", "body", "unit", "most", "picos"), EXTRAS, ids=[f"{one[0]}-{one[3]}-{one[4]}" for one in EXTRAS]
)
def test_an_extra_with_a_price_is_held_for_at_it(
    provider: str, path: str, body: dict[str, object], unit: str, most: int, picos: int
) -> None:
    """A paid extra is held for as often as it may be charged, at its own price, and what it reads as all it can."""
    request, bound = bound_of(provider, path, body)
    held, without = (
        amount_of(request, one) for one in (bound, bound._replace(quantities={**bound.quantities, unit: 0}))
    )

    assert bound.quantities[unit] == most
    assert isinstance(held, int)
    assert isinstance(without, int)
    assert held - without == picos
    assert bound.quantities["input_tokens"] >= (request.limits.context_tokens or 2_000_000)


PICTURES = {
    "openai/gpt-5-image": 40,
    "openai/gpt-5-image-mini": 8,
    "openai/gpt-5.4-image-2": 30,
    "google/gemini-2.5-flash-image": 30,
    "google/gemini-3-pro-image": 120,
    "google/gemini-3.1-flash-image": 60,
    "google/gemini-3.1-flash-lite-image:nitro": 30,
}


@pytest.mark.parametrize(("model", "dollars"), PICTURES.items())
def test_pictures_of_a_resold_model_are_held_for(model: str, dollars: int) -> None:
    """A picture's tokens have a price of their own, which is held for: a call that asks for pictures is not refused."""
    held = DESK.amount("openrouter", CHAT, chat(model, modalities=["image", "text"], max_tokens=10_000))

    assert price("openrouter", model, "output_image_tokens") == dollars * 10**12
    assert held >= dollars * CENT


def test_a_picture_that_a_tool_made_has_a_price() -> None:
    """A picture of the image generation tool, which an answer counts, is charged at the dearest and never left out."""
    assert price("openai", "gpt-5.6-sol", "images") >= 40 * CENT * 10**6
    assert not isinstance(BOOK.resolve("openai", "nobody-knows", AT_US), Rates)


@pytest.mark.parametrize("tools", [
    [{"type": "shell", "environment": {"type": "local"}}],
    [{"type": "shell", "environment": {"type": "local", "skills": []}}, {"type": "function", "name": "f"}],
])  # fmt: skip
def test_a_shell_of_the_client_is_no_server_tool(tools: list[dict[str, object]]) -> None:
    """A shell that runs at the client hides no input and starts no container: its explanation is held for alone."""
    request, bound = bound_of("openai", RESPONSES, respond(tools=tools))

    assert "code_sessions" not in bound.quantities
    assert not request.facts.server_tools
    assert 1_000 < bound.quantities["input_tokens"] < 5_000


@pytest.mark.parametrize("variant", ["nitro", "floor", "exacto", "free", "thinking", "NITRO", "floor:nitro"])
@pytest.mark.parametrize("model", [MINI, "deepseek/deepseek-r1"])
def test_a_variant_of_a_name_has_the_price_of_its_model(variant: str, model: str) -> None:
    """A name that only says how a call is routed is not refused, and is held for at no less than its model."""
    plain = DESK.amount("openrouter", CHAT, chat(model))

    assert DESK.amount("openrouter", CHAT, chat(f"{model}:{variant}")) >= plain
    assert DESK.amount("openrouter", MESSAGES, message(f"{model}:{variant}")) >= plain
    assert price("openrouter", f"{model}:{variant}") == price("openrouter", model)


def test_a_variant_that_the_list_prices_keeps_its_price() -> None:
    """A variant with a row of its own costs what that says; one that may be dearer and has none is refused."""
    assert price("openrouter", "openai/gpt-4o:extended") == 18 * 10**12
    assert price("openrouter", "google/gemini-2.5-flash-preview:thinking") > price(
        "openrouter", "google/gemini-2.5-flash-preview"
    )
    assert DESK.refusal("openrouter", CHAT, chat(f"{MINI}:extended")).code is Code.UNKNOWN_MODEL
    assert DESK.refusal("openrouter", CHAT, chat(f"{MINI}:brand-new")).code is Code.UNKNOWN_MODEL
    assert DESK.refusal("openrouter", CHAT, chat("nobody/knows:nitro")).code is Code.UNKNOWN_MODEL
    assert DESK.refusal("openai", CHAT, chat("gpt-4o-mini:nitro")).code is Code.UNKNOWN_MODEL


def test_a_free_variant_is_free_only_where_the_list_says_so() -> None:
    """A model whose free variant has no row is held for at the model's price, not at nothing."""
    assert DESK.amount("openrouter", CHAT, chat(f"{MINI}:free")) >= DESK.amount("openrouter", CHAT, chat(MINI))


# what chooses who sells, and whether that can make the call dearer than the list says
PREFERENCES: list[tuple[dict[str, object], bool]] = [
    ({"data_collection": "deny"}, True),
    ({"require_parameters": True}, True),
    ({"order": ["azure", "openai"]}, True),
    ({"only": ["azure"]}, True),
    ({"ignore": ["openai"]}, True),
    ({"quantizations": ["fp8"]}, True),
    ({"sort": "throughput"}, True),
    ({"sort": {"by": "latency", "partition": "none"}}, True),
    ({"zdr": True}, True),
    ({"preferred_min_throughput": {"p90": 50}}, True),
    ({"brand_new": 1}, True),
    ({"Order": ["azure"]}, True),
    ({"sort": "price"}, False),
    ({"data_collection": "allow"}, False),
    ({"allow_fallbacks": False}, False),
    ({"require_parameters": False, "zdr": None, "order": []}, False),
]


@pytest.mark.parametrize(("preferences", "is_dearer"), PREFERENCES, ids=str)
def test_who_sells_may_be_chosen(preferences: dict[str, object], is_dearer: bool) -> None:
    """A client may choose the seller: held is the dearest price of the model that is known of anybody."""
    plain = DESK.amount("openrouter", CHAT, chat("deepseek/deepseek-r1", max_tokens=100_000))
    held = DESK.amount("openrouter", CHAT, chat("deepseek/deepseek-r1", max_tokens=100_000, provider=preferences))
    dearest = max(price("huggingface_together", "deepseek-ai/DeepSeek-R1"), price("fireworks", "deepseek-r1-0528"))

    assert dearest > 2 * price("openrouter", "deepseek/deepseek-r1")
    assert held < 1.01 * plain if not is_dearer else held >= dearest // 10


def test_the_dearest_seller_has_extras_at_the_price_of_who_is_asked() -> None:
    """A paid extra beside a chosen seller costs what it does at the provider that is asked."""
    chosen = {"provider": {"order": ["azure"]}}
    request, bound = bound_of("openrouter", CHAT, chat(f"{MINI}:online", **chosen))
    without = amount_of(request, bound._replace(quantities={**bound.quantities, "web_searches": 0}))

    assert isinstance(without, int)
    assert amount_of(request, bound) == without + 5 * CENT


def test_the_fastest_seller_may_be_a_dearer_tier() -> None:
    """OpenRouter's fastest may be a maker's priority tier: that is held for, and only there."""
    model = "openai/gpt-5.5"
    nitro = DESK.amount("openrouter", CHAT, chat(f"{model}:nitro", max_tokens=10_000))
    sorted_by = DESK.amount("openrouter", CHAT, chat(model, max_tokens=10_000, provider={"sort": "throughput"}))

    assert nitro > 1.9 * DESK.amount("openrouter", CHAT, chat(model, max_tokens=10_000))
    assert sorted_by < 1.2 * DESK.amount("openrouter", CHAT, chat(model, max_tokens=10_000))


def test_a_highest_price_counts_before_all_sellers() -> None:
    """With a highest price nobody's dearer price is held for."""
    model = "deepseek/deepseek-r1"
    capped = {"order": ["together"], "max_price": {"prompt": 0.1, "completion": 0.1}}
    body = chat(model, max_tokens=100_000, provider=capped)

    assert DESK.amount("openrouter", CHAT, body) < 1.3 * DESK.amount(
        "openrouter", CHAT, chat(model, max_tokens=100_000)
    )


GOOGLE_KEYS = [
    ({"thinking_config": {"thinking_budget": 800, "include_thoughts": True}}, "passes"),
    ({"thinkingConfig": {"thinkingLevel": "high"}}, "passes"),
    ({"safety_settings": []}, "passes"),
    ({"thought_tag_marker": "think"}, "passes"),
    ({"cached_content": "cachedContents/1"}, "hidden"),
    ({"cachedContent": "cachedContents/1"}, "hidden"),
    ({"tools": [{"googleSearch": {}}]}, "refused"),
    ({"brand_new": 1}, "refused"),
    ({"thinking_config": {}, "Tools": [1]}, "refused"),
]


@pytest.mark.parametrize(("keys", "outcome"), GOOGLE_KEYS, ids=str)
@pytest.mark.parametrize("provider", ["google", "google-vertex", "somebody-new"])
@pytest.mark.parametrize("wrap", [lambda keys: {"extra_body": {"google": keys}}, lambda keys: {"google": keys}])
def test_the_extra_body_of_google(provider: str, wrap: object, keys: dict[str, object], outcome: str) -> None:
    """Keys of Google's own that are known to be harmless pass, a cache is input, others are refused by name."""
    assert callable(wrap)
    rows = [row._replace(provider=provider) for row in BOOK.rows if row.provider == "google"]
    desk = Desk(type(BOOK)(rows))
    plain = desk.amount(provider, CHAT, chat("gemini-3.1-pro-preview"))
    held = desk.held(provider, CHAT, chat("gemini-3.1-pro-preview", **wrap(keys)))

    if outcome == "refused":
        assert isinstance(held, Refusal), format_amount(held)
        assert any(f"google.{key}" in held.message for key in keys)
    else:
        assert isinstance(held, int), held
        assert held > 20 * plain if outcome == "hidden" else held < 1.6 * plain


@pytest.mark.parametrize("other", [{"extra_body": {"openai": {"x": 1}}}, {"extra_body": {"tools": [1]}},
                                   {"extra_body": [{"google": {"tools": [1]}}]}])  # fmt: skip
def test_other_extra_bodies_are_refused(other: dict[str, object]) -> None:
    """What is none of Google's keys may be anything."""
    refusal = DESK.refusal("google", CHAT, chat("gemini-3.1-pro-preview", **other))

    assert refusal.code is Code.INVALID_REQUEST
    assert "extra_body." in refusal.message


PRIORITY = "X-Vertex-AI-LLM-Shared-Request-Type"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (((PRIORITY.encode(), b"priority"),), b""),
        (((PRIORITY.upper().encode(), b"priority"),), b""),
        (((PRIORITY.replace("-", "_").encode(), b"priority"),), b""),
        (((PRIORITY.encode(), b"priority"), (PRIORITY.lower().encode(), b"priority")), b""),
        ((), f"{PRIORITY}=priority".encode()),
        ((), f"{PRIORITY.lower()}=priority".encode()),
        ((), b"alt=sse&X-Vertex%2DAI-LLM-Shared-Request-Type=%70riority"),
        (((PRIORITY.encode(), b"priority"),), f"{PRIORITY}=priority".encode()),
    ],
)
def test_a_header_is_read_in_any_spelling_and_place(headers: tuple[tuple[bytes, bytes], ...], query: bytes) -> None:
    """A dearer tier is held for, whether its header is written in capitals, twice, or as a query parameter."""
    standard = DESK.amount("google", PRO, generate())

    assert DESK.amount("google", PRO, generate(), headers, query) > 1.5 * standard


@pytest.mark.parametrize(
    ("headers", "query", "said"),
    [
        (((PRIORITY.encode(), b"flex"), (PRIORITY.encode(), b"priority")), b"", "twice"),
        (((PRIORITY.encode(), b"flex"),), f"{PRIORITY}=priority".encode(), "twice"),
        ((), f"{PRIORITY}=flex&{PRIORITY}=priority".encode(), "twice"),
        ((), b"X-Goog-FieldMask=candidates", "metered"),
        ((), b"Fields=candidates", "metered"),
        ((), b"serviceTier=priority", "body"),
        ((), b"generationConfig.candidateCount=8", "body"),
        ((), b"tools=%5B%5D", "body"),
    ],
)
def test_a_choice_in_the_wrong_place_is_refused(
    headers: tuple[tuple[bytes, bytes], ...], query: bytes, said: str
) -> None:
    """What contradicts itself, hides the usage, or stands in the query instead of the body is refused."""
    refusal = DESK.refusal("google", GEMINI, generate(), headers, query)

    assert refusal.code is Code.INVALID_REQUEST
    assert said in refusal.message


@pytest.mark.parametrize("query", [b"", b"alt=sse", b"key=x", b"prettyPrint=false", b"beta=true", b"quotaUser=a"])
def test_a_harmless_query_passes(query: bytes) -> None:
    """A query parameter that chooses nothing changes no hold."""
    assert DESK.amount("google", PRO, generate(), (), query) == DESK.amount("google", PRO, generate())


CONVERSATIONS = [
    ("openai", RESPONSES, lambda tool: respond(input=[{"type": "additional_tools", "tools": [tool]}])),
    ("openai", RESPONSES, lambda tool: respond(input=[{"type": "tool_search_output", "tools": [tool]}])),
    ("openai", RESPONSES, lambda tool: respond(input=[{"type": "tool_search_output", "tools": [
        {"type": "namespace", "name": "n", "tools": [tool]}]}])),
    ("anthropic", MESSAGES, lambda tool: message(messages=[{"role": "system", "content": [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}]}])),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "path", "build"), CONVERSATIONS, ids=["items", "found", "namespace", "block"])
def test_a_tool_in_the_conversation_costs_nothing_unseen(provider: str, path: str, build: object) -> None:
    """A tool that is added in the conversation is text, hides input, or is refused where it costs more."""
    assert callable(build)
    servers = {"openai": "code_interpreter", "anthropic": "web_search_20260318"}[provider]
    remote = {"openai": "mcp", "anthropic": "mcp_toolset"}[provider]
    client = {"openai": "function", "anthropic": "custom"}[provider]

    for body in (build({"type": servers, "name": "t"}), build({"type": "brand_new", "name": "t"})):
        assert "in tools" in DESK.refusal(provider, path, body).message
    hidden, plain = (bound_of(provider, path, build({"type": kind, "name": "t"}))[1] for kind in (remote, client))
    assert plain.quantities["input_tokens"] < 5_000
    assert hidden.quantities["input_tokens"] > 100_000


def test_a_tool_in_the_conversation_in_other_letters() -> None:
    """A word that is spelt by the numbers of its letters is found all the same."""
    item = r'{"type":"\u0061dditional_tools","tools":[{"type":"web_search"}]}'
    body = f'{{"model":"gpt-5.6-sol","max_output_tokens":9,"input":[{item}]}}'.encode()

    assert "in tools" in DESK.refusal("openai", RESPONSES, body).message


@pytest.mark.parametrize("uses", ["100", [100], True, -1, 2.5])
def test_a_number_of_searches_must_be_one(uses: object) -> None:
    """A limit that is no whole number is refused, not read as none; one that is written as 100.0 is a hundred."""
    tool = {"type": "web_search_20260318", "name": "w"}

    assert DESK.refusal("anthropic", MESSAGES, message(tools=[{**tool, "max_uses": uses}])).code is Code.INVALID_REQUEST
    assert (
        bound_of("anthropic", MESSAGES, message(tools=[{**tool, "max_uses": 100.0}]))[1].quantities["web_searches"]
        == 100
    )


@pytest.mark.parametrize(
    "tool",
    [
        b'{"type":"code_interpreter","container":{"type":"auto","memory_limit":"64g","memory_limit":"1g"}}',
        b'{"type":"shell","environment":{"type":"container_auto","type":"local"}}',
        rb'{"type":"shell","\u0065nvironment":{"type":"container_auto","type":"local"}}',
    ],
)
def test_what_stands_in_a_tool_is_sent_once(tool: bytes) -> None:
    """A field inside a tool's container is sent once, as it was held for, whichever of two a provider would take."""
    body = b'{"model":"gpt-5.6-sol","input":"hi","max_output_tokens":9,"tools":[' + tool + b"]}"
    request = DESK.understand("openai", RESPONSES, body, (), b"")

    assert isinstance(request, Request), request
    assert request.body.count(b"memory_limit") <= 1
    assert b"container_auto" not in request.body


def test_agents_of_one_model_are_all_held_for() -> None:
    """A model that runs many agents is held for beyond what has been seen of them."""
    for provider, model in (("x-ai", "grok-4.20-multi-agent-0309"), ("openrouter", "x-ai/grok-4.20-multi-agent:floor")):
        request, bound = bound_of(provider, CHAT, chat(model))
        assert bound.quantities["input_tokens"] >= (request.limits.context_tokens or 2_000_000) > 39_263
        assert bound.quantities["output_tokens"] > 9 * 9_997


def test_pictures_that_nobody_asked_for_are_held_for() -> None:
    """A model that makes pictures may make one though the request names no modality."""
    assert DESK.amount("openrouter", CHAT, chat("openai/gpt-5-image", max_tokens=10_000)) >= 40 * CENT


def test_lists_and_texts_instead_of_objects_hide_nothing() -> None:
    """A plugin that is named by a text is held for as one; a highest price in a list of objects is refused."""
    assert bound_of("openrouter", CHAT, chat(MINI, plugins=["web"]))[1].quantities["web_searches"] == 5
    assert "plugin" in DESK.refusal("openrouter", CHAT, chat(MINI, plugins=["brand-new"])).message
    listed = [{"order": ["dear"]}, {"max_price": {"prompt": 0, "completion": 0}}]
    assert "must be an object" in DESK.refusal("openrouter", CHAT, chat(MINI, provider=listed)).message


@pytest.mark.parametrize("modalities", [["VIDEO"], ["TEXT"], None])
def test_a_video_that_nobody_asked_for_is_held_for(modalities: object) -> None:
    """A model that makes videos is held for at their price, whatever the request says of modalities."""
    config = {"maxOutputTokens": 100_000, **({"responseModalities": modalities} if modalities else {})}
    path = "/v1beta/models/gemini-omni-1.2-flash:generateContent"

    assert DESK.amount("google", path, {"contents": [], "generationConfig": config}) >= 120 * CENT


def test_a_modality_in_capitals_is_one() -> None:
    """Sound that is asked for in capitals is held for as sound."""
    for word in ("audio", "AUDIO", "Audio"):
        bound = bound_of("openai", CHAT, chat("gpt-4o-audio-preview", modalities=["text", word]))[1]
        assert bound.quantities["output_audio_tokens"] == 100


def test_endless_names_are_refused() -> None:
    """A name of a thousand variants has no price, and a call that a thousand models may serve is refused."""
    many = [f"{MINI}{'' if at % 2 else ':floor'}{':nitro' * (at % 3)}" for at in range(6)]

    assert DESK.refusal("openrouter", CHAT, chat(MINI + ":nitro" * 100_000)).code is Code.UNKNOWN_MODEL
    assert DESK.amount("openrouter", CHAT, chat(MINI, models=many * 1_000)) > 0
    models = [f"nobody/{at}" for at in range(1_000)]
    assert "at most" in DESK.refusal("openrouter", CHAT, chat(MINI, models=models)).message


@pytest.mark.parametrize("model", ["sonar", "sonar-pro", "sonar-reasoning-pro"])
def test_a_request_fee_covers_its_search(model: str) -> None:
    """A model that is paid for each request takes search options: its fee is held for, and no search beside that."""
    for size in ("low", "medium", "high"):
        request, bound = bound_of("perplexity", CHAT, chat(model, web_search_options={"search_context_size": size}))
        assert "web_searches" not in bound.quantities
        held = amount_of(request, bound)
        assert isinstance(held, int)
        assert CENT < held < 2 * CENT


def test_a_search_beside_a_request_fee_is_held_for() -> None:
    """A model that is paid for each request and for each search, too, is held for both."""
    _, bound = bound_of("perplexity", CHAT, chat("sonar-deep-research", web_search_options={}))
    assert bound.quantities["web_searches"] > 1


@pytest.mark.parametrize("query", [b"alt=sse", b"%24alt=json%3Benum-encoding=int", b"$alt=json%3Benum-encoding%3Dint"])
def test_answers_in_json_may_be_asked_for(query: bytes) -> None:
    """Google's REST client asks for kinds as numbers, which are read; what is no json is refused."""
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 10}}

    assert DESK.amount("google", PRO, body, (), query) == DESK.amount("google", PRO, body)
    assert DESK.refusal("google", PRO, body, (), query.replace(b"json", b"proto").replace(b"sse", b"media"))


def test_a_name_without_end_is_compared_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's name that is longer than any is refused before it is compared with all that are known."""
    assert "256" not in DESK.refusal("openai", CHAT, chat("g" * 256)).message
    monkeypatch.setattr(Offers, "find", None)
    refusal = DESK.refusal("openai", CHAT, chat("g" * 257))
    assert (refusal.code, refusal.param) == (Code.UNKNOWN_MODEL, "model")
    assert "257 characters" in refusal.message


def test_a_fallback_with_a_name_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the name of a model that may take over."""
    compared: list[list[str]] = []
    monkeypatch.setattr(Offers, "or_any_of", lambda _, offer, models, *__: compared.append(models) or offer)
    assert DESK.refusal("openrouter", CHAT, chat(MINI, models=["g" * 257])).param == "models"
    assert compared == []
