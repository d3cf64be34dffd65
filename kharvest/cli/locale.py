"""The arguments of this process, and Python's UTF-8 mode: paths are the same whatever the locale."""

from __future__ import annotations

import os
import sys


def arguments_of_process() -> list[str]:
    """The arguments, decoded as UTF-8; bytes that are not are kept as surrogates (PEP 383).

    Under a locale of another encoding Python would decode arguments and encode file names by that, and a path would
    name another file here than on the server. Python's UTF-8 mode (PEP 540) begins with the process, so the program is
    executed again, in the same process. Under the locales C and POSIX, which containers have, it is on already.
    """
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        given = [os.fsencode(argument) for argument in sys.orig_argv[1:]]
        os.execv(sys.executable, [os.fsencode(sys.executable), b"-X", b"utf8", *given])  # noqa: S606  # no shell needed
    return [os.fsencode(argument).decode("utf-8", "surrogateescape") for argument in sys.argv[1:]]
