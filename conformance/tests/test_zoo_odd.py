"""The suite is tested: it has nothing against stores that are odd. Those with odd contents run beside these."""

from __future__ import annotations

from pathlib import Path

import pytest

from kharvest_zoo.odd import ODD
from kharvest_zoo.odd_contents import ODD_CONTENTS
from kharvest_zoo.running import PATIENCE_SECONDS, complaints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 60)]


@pytest.mark.parametrize("kind", sorted(ODD.keys() - ODD_CONTENTS.keys()))
def test_a_fast_run_has_nothing_against_an_odd_store(kind: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, kind, fast=True) == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", sorted(ODD.keys() - ODD_CONTENTS.keys()))
def test_a_correct_store_conforms_however_odd_it_is(kind: str, tmp_path: Path) -> None:
    assert complaints(tmp_path, kind) == []
