"""Which models can be called: those configured, and those whose prices are in force."""

from typing import Any

from pertoken.services.world import World


def list_models(world: World, *, gemini: bool, anthropic: bool) -> dict[str, Any]:
    """Return the models in the shape that the asking SDK reads."""
    now_us = world.clock.now_us()
    wire = "gemini" if gemini else "anthropic" if anthropic else None
    names: dict[str, str] = {}
    for name, route in world.offers.routes.items():
        names.setdefault(name, route.provider)
    for provider in world.providers.values():
        if wire is None or provider.wire == wire:
            for model in world.ledger.prices.models_of(provider.name, now_us):
                names.setdefault(model, provider.name)
    if gemini:
        return {"models": [{"name": f"models/{name}", "displayName": name} for name in names]}
    if anthropic:
        data = [
            {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"} for name in names
        ]
        return {
            "data": data,
            "has_more": False,
            "first_id": next(iter(names), None),
            "last_id": next(reversed(names), None),
        }
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in names.items()],
    }
