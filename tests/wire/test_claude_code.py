"""The user id that Claude Code writes."""

import pytest

from pertoken.wire.claude_code import read_user_id

DEVICE = "5f3c" * 16
ACCOUNT = "7a1d3c52-0c3b-4f0e-9a55-1f8e2f6b7c10"
SESSION = "d3b07384-d9a0-4c9b-8f3e-0a1b2c3d4e5f"


@pytest.mark.parametrize(
    ("text", "user", "conversation"),
    [
        (f"user_{DEVICE}_account_{ACCOUNT}_session_{SESSION}", ACCOUNT, SESSION),
        (f"user_{DEVICE}_account__session_{SESSION}", DEVICE, SESSION),
        (f'{{"device_id":"{DEVICE}","account_uuid":"{ACCOUNT}","session_id":"{SESSION}"}}', ACCOUNT, SESSION),
        (f'{{"device_id":"{DEVICE}","account_uuid":"","session_id":"{SESSION}"}}', DEVICE, SESSION),
        (f'{{"device_id":"{DEVICE}","session_id":"{SESSION}","more":[1]}}', DEVICE, SESSION),
        ("ann", "ann", None),
        ("user_7", "user_7", None),
        (f"user_{DEVICE}", f"user_{DEVICE}", None),
        (f"user_{DEVICE}_account_{ACCOUNT}_session_", f"user_{DEVICE}_account_{ACCOUNT}_session_", None),
        (f"user_{DEVICE}_account_x_session_{SESSION}", f"user_{DEVICE}_account_x_session_{SESSION}", None),
        ("{not json", "{not json", None),
        ('{"session_id":"s"}', '{"session_id":"s"}', None),
        ('{"device_id":7,"session_id":"s"}', '{"device_id":7,"session_id":"s"}', None),
        ('{"device_id":"d","session_id":""}', '{"device_id":"d","session_id":""}', None),
    ],
)  # fmt: skip
def test_a_user_id_is_split(text: str, user: str, conversation: str | None) -> None:
    """The user is the account, or else the device; the conversation is the session; any other text is a user's name."""
    assert read_user_id(text) == (user, conversation)
