"""The reasons for which a run may have failed."""

import enum
from collections.abc import Sequence
from typing import Any

FIRST_FAULT = 16  # the code of the first fault of a dynamics; its others follow


class Status(enum.IntEnum):
    """Why a run stopped following its schedule; codes from 16 on are faults that its dynamics names.

    Attributes:
        OK: the run followed its schedule to the end.
        NON_FINITE_WEIGHTS: the schedule returned weights that are NaN or infinite.
        NEGATIVE_WEIGHTS: the schedule returned a negative weight; weights are density ratios.
        ZERO_WEIGHTS: the schedule returned weights that are all zero.
        NON_FINITE_STATE: the loss became NaN or infinite.
    """

    OK = 0
    NON_FINITE_WEIGHTS = 1
    NEGATIVE_WEIGHTS = 2
    ZERO_WEIGHTS = 3
    NON_FINITE_STATE = 4


_MEANING = {
    Status.OK: "the run followed its schedule",
    Status.NON_FINITE_WEIGHTS: "the schedule returned weights that are NaN or infinite",
    Status.NEGATIVE_WEIGHTS: "the schedule returned a negative weight; weights are density ratios",
    Status.ZERO_WEIGHTS: "the schedule returned weights that are all zero",
    Status.NON_FINITE_STATE: "the loss became NaN or infinite; check the problem's scale, or use float64",
}


def describe_status(status: Any, faults: Sequence[str] = ()) -> str:
    """A status code as a few lower-case words.

    Arguments:
        status: a code of one run.
        faults: what the dynamics of the run says of its own faults; see `AbstractDynamics.faults`.
    """
    code = int(status)
    if code < FIRST_FAULT:
        return Status(code).name.lower().replace("_", " ")
    fault = code - FIRST_FAULT
    return faults[fault].split(":", 1)[0] if fault < len(faults) else f"fault {fault} of the dynamics"


def explain_status(status: Any, faults: Sequence[str] = (), limit: float = float("nan")) -> str:
    """A status code as a sentence, with the limit that it speaks of."""
    code = int(status)
    if code < FIRST_FAULT:
        return _MEANING[Status(code)]
    name = describe_status(code, faults)
    meaning = faults[code - FIRST_FAULT].split(":", 1)[-1].strip() if code - FIRST_FAULT < len(faults) else name
    return meaning.replace("{limit}", f"{limit:.6g}")


def status_legend(faults: Sequence[str] = ()) -> str:
    """Every code and its words in one line, to stand beside stored codes."""
    codes = [*map(int, Status), *range(FIRST_FAULT, FIRST_FAULT + len(faults))]
    return ", ".join(f"{code}: {describe_status(code, faults)}" for code in codes)
