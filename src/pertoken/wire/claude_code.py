"""Claude Code's `metadata.user_id` in a Messages request: a device, an account and a session in one text.

Up to version 2.1 the text is `user_HASH_account_UUID_session_UUID`, where the account may be empty. Later versions
write a JSON object with `device_id`, `account_uuid` and `session_id`. Both were seen in its requests. Any other text is
taken as the name of a user.
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
    """Return (user, conversation) from a user id.

    The user is the account, or the device if there is no account. The conversation is the session.
    """
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
