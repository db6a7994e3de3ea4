"""Reads a settings file into a tree of plain values."""

from pathlib import Path
from typing import Any

import yaml

from pertoken.catalogs import yaml_errors, yaml_trees


class NoSettings(Exception):
    """A settings file cannot be read, is not YAML, or is not a mapping."""


def read_settings_file(path: str | None) -> dict[str, Any]:
    """Return the tree of a settings file; without a file, an empty one. Raises NoSettings."""
    if path is None:
        return {}
    try:
        tree = yaml_trees.load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise NoSettings(f"cannot read the configuration file: {path}: {_reason(error)}") from error
    except yaml.YAMLError as error:
        raise NoSettings(f"{path} is not valid yaml: {yaml_errors.reason(error)}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise NoSettings(f"{path}: the configuration must be a mapping, not {type(tree).__name__}")
    return tree


def _reason(error: OSError | UnicodeDecodeError) -> str:
    """Say what is wrong with a file and where, without its text, which may contain a provider's key."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"not UTF-8 from byte {error.start} on; save it as UTF-8"
