"""LiteLLM's proxy, set up as in its own benchmarks: no database, no callbacks, no retries, one worker.

Source: LiteLLM's documentation, "Benchmarks" and "Best practices for production".
"""

import sys
from pathlib import Path

from call import MODEL, Target

from peers import pins
from peers.cache import installed, run
from peers.peer import Peer, Place, Start

CONFIGURATION = """
model_list:
  - model_name: MODEL
    litellm_params: {model: openai/MODEL, api_base: PROVIDER/v1, api_key: bench}
litellm_settings: {callbacks: [], num_retries: 0, request_timeout: 600, set_verbose: false, telemetry: false}
general_settings: {master_key: sk-bench, disable_spend_logs: true, disable_error_logs: true}
"""


class LiteLLM(Peer):
    """From PyPI, in an environment of its own."""

    name = "LiteLLM"
    does = "checks one key; budgets, logs and database off"

    def install(self) -> str:
        self._folder = installed(f"litellm-{pins.LITELLM}", _make_environment)
        return pins.LITELLM

    def prepare(self, place: Place) -> Start:
        path = place.folder / "litellm.yaml"
        path.write_text(CONFIGURATION.replace("MODEL", MODEL).replace("PROVIDER", place.provider_url))
        command = [str(self._folder / "bin/litellm"), "--config", str(path), "--num_workers", "1"]
        environ = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it asks the network for prices when it starts
            "DISABLE_ADMIN_UI": "True",
        }
        target = Target(place.url, {"authorization": "Bearer sk-bench"})
        return Start([*command, "--host", "127.0.0.1", "--port", str(place.port)], target, environ)


def _make_environment(folder: Path) -> None:
    run([sys.executable, "-m", "venv", str(folder)], folder)
    pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, f"litellm[proxy]=={pins.LITELLM}"], folder)
