"""Verdicts on problems whose answer is known; `benchmarks/verdicts.py` also tells how often intervals hold."""

import importlib.util
import sys
from pathlib import Path

import pytest

from spectral_sim.assessment import claim, table
from spectral_sim.report import verdict_of

_PATH = Path(__file__).parents[2] / "benchmarks" / "verdict_cases.py"
_SPEC = importlib.util.spec_from_file_location("verdict_cases", _PATH)
cases = importlib.util.module_from_spec(_SPEC)
sys.modules["verdict_cases"] = cases  # its dataclasses look their module up
_SPEC.loader.exec_module(cases)

# one shape of arrays, so that one program serves all
_FAST = ("a rare part", "duplicates", "larger features")


@pytest.mark.parametrize(
    "name", [*_FAST, *(pytest.param(n, marks=pytest.mark.slow) for n in cases.CASES if n not in _FAST)]
)
def test_the_verdict_is_right_where_the_answer_is_known(name):
    case = cases.CASES[name]
    found = cases.assess(cases.part_of(case, 3), 3)
    numbers = table(found)
    claimed = "nothing" if numbers.picked is None else claim(numbers.picked, numbers)
    text = verdict_of(found)
    assert claimed in case.claims, text
    assert not case.says or any(words in text for words in case.says), text
    assert found.splits == case.splits


def test_splits_share_no_held_out_row_for_picking_and_scoring():
    """A row that serves for picking in one split never scores in another, and every split has rows of its own."""
    import numpy as np

    part = cases.part_of(cases.CASES["nothing to gain"], 0)
    splits = [part, *(make() for make in part.more_splits)]
    roles = {}
    for each in splits:
        features = np.asarray(each.problem.eval_features)
        scores, picks = np.asarray(each.problem.eval_mass) > 0, each.picking > 0
        assert not (scores & picks).any()
        for row, is_picking in zip(features[scores | picks], picks[scores | picks], strict=True):
            assert roles.setdefault(row.tobytes(), is_picking) == is_picking
        train = {row.tobytes() for row in np.asarray(each.problem.features)[np.asarray(each.problem.example_mass) > 0]}
        assert not train & {row.tobytes() for row in features[scores | picks]}
    assert len(roles) > 200  # five splits hold out most rows once
