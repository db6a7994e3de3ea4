"""What Claude Code writes in `metadata.user_id` of a Messages request: a device, an account and a session in one text.

Up to 2.1 it is `user_HASH_account_UUID_session_UUID`, the account empty where there is none; later it is a JSON object
with `device_id`, `account_uuid` and `session_id`. Both were seen in its requests. Any other text is a user's name.
"""

import re

import msgspec

_JOINED = re.compile(r"user_([0-9a-f]{8,128})_account_([0-9a-f-]{0,36})_session_([0-9a-f-]{8,36})", re.IGNORECASE)


class _Told(msgspec.Struct):
    session_id: str
    device_id: str = ""
    account_uuid: str = ""


_told = msgspec.json.Decoder(_Told)


def read_user_id(text: str | None) -> tuple[str | None, str | None]:
    """Return the user and the conversation that a user id names: the account, else the device, and the session."""
    if text is None:
        return None, None
    if text.startswith("{"):
        try:
            told = _told.decode(text)
        except msgspec.MsgspecError:
            return text, None
        user = told.account_uuid or told.device_id
        return (user, told.session_id) if user and told.session_id else (text, None)
    joined = _JOINED.fullmatch(text) if text.startswith("user_") else None
    if joined is None:
        return text, None
    device, account, session = joined.groups()
    return account or device, session
