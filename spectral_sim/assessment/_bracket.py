"""Between what some schedule reaches and what no schedule can exceed."""

import numpy as np

from ._assessment import Assessment
from ._curves import CERTIFICATE
from ._table import format_short

__all__ = ["bracket"]


def bracket(assessment: Assessment) -> str:
    """One sentence on the gain that is left at the last time; empty without a certificate.

    Ceilings count: they are schedules too, and the certificate bounds them on the loss that they looked at.
    """
    curve = next((each for each in assessment.bounds if each.name == CERTIFICATE), None)
    if curve is None:
        return ""
    ends = {run.name: run.loss[-1] for run in assessment.runs if run.ok and np.isfinite(run.loss[-1])}
    uniform = assessment.reference.loss[-1]
    at = f"At t = {format_short(float(assessment.times[-1]))}"
    bound = curve.loss[-1]
    if not (ends and np.isfinite(uniform)):
        return ""
    if not (np.isfinite(bound) and bound > 0):
        return f"{at} the certificate says nothing: how much other schedules could gain is not known."
    best = min(ends, key=lambda name: ends[name])
    most = f"no schedule can lower it by more than {uniform / bound:.3g} times: proven"
    if best == assessment.reference.name:
        return f"{at} no schedule shown has a lower {assessment.measure} than uniform sampling, and {most}."
    return (
        f"{at} {best} lowers the {assessment.measure} of uniform sampling {uniform / ends[best]:.3g} times, and {most}."
    )
