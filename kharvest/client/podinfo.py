"""What Kubernetes' downward API tells of the pod in files."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

from kharvest.client.errors import ConfigurationError

DIRECTORY = "/etc/podinfo"
ALL = "*"


def read_pairs(file: Path, keys: Collection[str]) -> dict[str, str]:
    """The pairs of a file of labels or annotations with these keys, or all of them for `*`.

    Each line is KEY="VALUE", the value quoted as Go does it. A file that is not there has none.

    Raises:
        ConfigurationError: the file cannot be read or understood.
    """
    if not keys:
        return {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        remedy = "mount the downward API's volume so that it can be read"
        raise ConfigurationError(str(file), str(error), remedy) from error
    pairs = {}
    for number, line in enumerate(lines, 1):
        key, equals, quoted = line.partition("=")
        try:
            value = ast.literal_eval(quoted)  # Go's escapes are among Python's
        except (SyntaxError, ValueError):
            value = None
        if not equals or not isinstance(value, str):
            problem = f'{line!r} is not KEY="VALUE"'
            raise ConfigurationError(f"{file}:{number}", problem, "mount what the downward API writes")
        pairs[key] = value
    return pairs if ALL in keys else {key: value for key, value in pairs.items() if key in keys}
