"""The file systems of a pod, as a kubelet mounts them: in a mount namespace of the pod's own, over this machine's."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

_OURS = {Path(__file__).parents[2], Path(sys.prefix), Path(sys.base_prefix)}
"""Where the program is, and the Python that runs it."""


def in_a_pod(
    scratch: Path, mounts: Mapping[str, Path], *, user: int | None = None, read_only: tuple[str, ...] = ()
) -> list[str]:
    """What to put before a command, in a namespace of `ip netns exec`, so that it sees these folders and files mounted.

    With a user, it runs as in the restricted profile: as this user, without capabilities but the one to read this
    machine's Python, and with a root file system that is only read.
    """
    script = ["set -e"]
    scratch.mkdir(parents=True)
    (empty := scratch / "empty").mkdir()
    missing = {target: source for target, source in mounts.items() if not Path(target).exists()}
    for target, source in missing.items():
        # Mount points come from a layer above the machine's own folder, which stays as it was.
        point = scratch / target.lstrip("/")
        (point if source.is_dir() else point.parent).mkdir(parents=True, exist_ok=True)
        if not source.is_dir():
            point.touch()
    for top in sorted({Path(target).parts[1] for target in missing}):
        layers = f"{scratch / top}:{f'/{top}' if Path(f'/{top}').is_dir() else empty}"
        script.append(f"mount -t overlay overlay -o lowerdir={shlex.quote(layers)} /{top}")
    # What all comes from is below /tmp: that is hidden last.
    for target, source in sorted(mounts.items(), key=lambda mount: mount[0] == "/tmp"):
        for ours in _OURS:
            if ours.is_relative_to(target):  # a checkout below /tmp: what runs is to be seen through the mount
                place = source / ours.relative_to(target)
                place.mkdir(parents=True, exist_ok=True)
                script.append(f"mount --bind {shlex.quote(str(ours))} {shlex.quote(str(place))}")
        script.append(f"mount --rbind {shlex.quote(str(source))} {shlex.quote(target)}")
    script += [f"mount -o remount,bind,ro {shlex.quote(target)}" for target in read_only]
    drop = ""
    if user is not None:
        script.append("mount -o remount,bind,ro /")
        left = "-all,+dac_read_search"
        drop = (
            f"setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs"
            f" --inh-caps={left} --ambient-caps={left} --bounding-set={left}"
        )
    return ["sh", "-c", "\n".join([*script, f'exec {drop} "$@"']), "pod"]
