"""The reasons for which a run may have failed."""

import enum


class Status(enum.IntEnum):
    """Why a run stopped following its schedule."""

    OK = 0
    NON_FINITE_WEIGHTS = 1
    NEGATIVE_WEIGHTS = 2
    ZERO_WEIGHTS = 3
    NON_FINITE_STATE = 4
    UNSTABLE_LEARNING_RATE = 5
    PARTIAL_STEPS = 6
    BAD_SETTING = 7
    TOO_MANY_STEPS = 8
    LOSS_ROSE = 9


MEANING = {
    Status.NON_FINITE_WEIGHTS: "the schedule returned weights that are NaN or infinite",
    Status.NEGATIVE_WEIGHTS: "the schedule returned a negative weight; weights are density ratios",
    Status.ZERO_WEIGHTS: "the schedule returned weights that are all zero",
    Status.NON_FINITE_STATE: "the loss became NaN or infinite; check the problem's scale, or use float64",
    Status.UNSTABLE_LEARNING_RATE: "the learning rate is above the limit of stability; "
    "the largest stable value is {limit}",
    Status.PARTIAL_STEPS: "the interval is not a whole number of steps, being {limit} of them; "
    "build the grid with step_times",
    Status.BAD_SETTING: "a learning rate that is not positive, a batch below 1, a drift that is not "
    "finite, a negative noise variance or source, a fraction of own labels outside [0, 1), or labels renewed after a "
    "negative time or a ratio below 1",
    Status.TOO_MANY_STEPS: "the interval takes more steps than the dynamics allows; the longest that it can run is "
    "{limit}: refresh more often, or allow more steps",
    Status.LOSS_ROSE: "the training loss rose over an interval, which gradient flow under held weights cannot do: "
    "rounding has taken over; use float64, or scale the features so that duration times trace is smaller",
}
