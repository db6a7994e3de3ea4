"""Keys of providers in the settings: plain, in a variable, or encrypted."""

from pertoken.core.ids import KEY_PREFIX
from pertoken.ports.failures import StoreFailed
from pertoken.settings import ENCRYPTED, FROM_ENVIRONMENT, BadSettings, Settings, key_variables
from pertoken.store.secret_key import read_file
from pertoken.wiring.paths import secret_key_file

PROVIDER_KEYS = "provider keys"  # the purpose of the encryption


def encrypt_provider_key(settings: Settings, key: str) -> str:
    """Return the encrypted text of a provider's key for the settings; create the secret key if there is none yet.

    Raises StoreFailed if the secret key cannot be read or created.
    """
    from pertoken.store.encryption import encrypt  # noqa: PLC0415 - 45 ms, for those who use it

    return ENCRYPTED + encrypt(_secret_key(settings), PROVIDER_KEYS, key)


def provider_key(settings: Settings, name: str) -> str | None:
    """Return the key of a provider as it is sent, None if it has none. Raises BadSettings naming the setting."""
    key = settings.providers[name].api_key
    if key is not None and key.startswith(FROM_ENVIRONMENT):
        variable = key.removeprefix(FROM_ENVIRONMENT)
        message = f"providers.{name}.api_key names the variable {variable}, which is not set"
        raise BadSettings(f"{message}; set it: export {variable}=..., or correct the name")
    if key is not None and key.startswith(KEY_PREFIX):
        variables = " or ".join(key_variables(name))
        raise BadSettings(
            f"the key of {name} is a pertoken key, made for applications; "
            f"set providers.{name}.api_key to the one that {name} gave you, and {variables} for applications only"
        )
    if key is None or not key.startswith(ENCRYPTED):
        return key
    from pertoken.store.encryption import CannotDecrypt, decrypt  # noqa: PLC0415 - 45 ms, for those who use it

    setting, anew = f"providers.{name}.api_key", "or encrypt the provider's key again: pertoken provider encrypt"
    try:
        if settings.secret_key is None and not secret_key_file(settings).exists():
            raise StoreFailed(f"restore {secret_key_file(settings)} (docs/how-to/keys.md)")
        return decrypt(_secret_key(settings), PROVIDER_KEYS, key.removeprefix(ENCRYPTED))
    except StoreFailed as error:
        raise BadSettings(f"{setting} is encrypted, and the secret key cannot be read: {error}; {anew}") from error
    except CannotDecrypt as error:
        where = "PERTOKEN_SECRET_KEY" if settings.secret_key is not None else f"the file {secret_key_file(settings)}"
        raise BadSettings(
            f"{setting} was changed, or encrypted under another secret key than that of {where}: "
            f"restore the right one (docs/how-to/keys.md), {anew}"
        ) from error


def _secret_key(settings: Settings) -> bytes:
    return read_file(secret_key_file(settings)) if settings.secret_key is None else settings.secret_key.encode()
