"""Measures the suite: `python -m kharvest_zoo` prints what it catches, and fails if something survives unexplained."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kharvest_zoo.measuring import Score, Share, generated_score, mutants_score, zoo_score
from kharvest_zoo.mutants.stores import SQLITE

SCORES: dict[str, Callable[[Share], Score]] = {
    "zoo": zoo_score,
    "generated": generated_score,
    "memory": mutants_score,
    "sqlite": lambda share: mutants_score(share, SQLITE),
}
USUAL = ("zoo", "generated", "memory")


def main() -> int:
    """Print the scores; 1 if there is something to look at."""
    parser = argparse.ArgumentParser(prog="python -m kharvest_zoo", description=__doc__)
    parser.add_argument(
        "what", nargs="*", help=f"of {', '.join(SCORES)}; all but sqlite, which takes hours, if none is given"
    )
    parser.add_argument("--only", default="", metavar="PART", help="stores and mutants whose names have this in them")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="as many of each kind, drawn at random")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which sample")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="how many at a time")
    parser.add_argument(
        "--explained", action="store_true", help="run also what is said to be uncatchable, each for a whole run"
    )
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="add a line for each store that was run to FILE")
    options = parser.parse_args()
    if unknown := set(options.what) - SCORES.keys():
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(SCORES)}")

    def log(line: str) -> None:
        with options.verdicts.open("a") as file:
            print(line, file=file)

    share = Share(
        options.only,
        options.sample,
        options.seed,
        options.jobs,
        options.explained,
        log if options.verdicts else None,
    )
    good = True
    for what in options.what or USUAL:
        start = time.monotonic()
        score = SCORES[what](share)
        for line in score.lines():
            print(line)
        print(f"  ({time.monotonic() - start:.0f} s)", flush=True)
        good = good and score.is_good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
