"""What a certificate is about: the motions that weights can choose between, in coordinates with unit scale."""

import dataclasses

import numpy as np

from ..problems import OperatorProblem

_REALISABLE = 1e-6  # misfits below this part of the targets are treated as zero and paid for in `CertificateTask.pay`
STACKED = 12  # the outputs of a problem share one multiplier up to this many coordinates


@dataclasses.dataclass(frozen=True)
class CertificateTask:
    """Minimise s(T)^T terminal s(T) over all shares q of the simplex, with s' = -sum_i q_i generators[i] s.

    The state s holds the distance a to a solution theta* and, where the solution misses targets, a last entry that
    stays 1. Features are scaled to largest norm 1, targets to initial loss 1, and time accordingly.

    Arguments:
        generators: A_i = x_i y_i^T, or their means over groups, shape (choices, state, state).
        shares: base mass of each choice, shape (choices,).
        terminal: half the second moment of the evaluation set in the coordinates of s, shape (state, state).
        start: s(0), shape (state,).
        time_scale: units of time of the problem in one unit here.
        loss_scale: units of loss of the problem in one unit here.
        augmented: whether the last entry of s is the constant 1.
        missed: largest squared misfit of a choice, which the repair of an augmented multiplier needs.
        neglected: largest misfit on the training set that was treated as zero; and its norm on the evaluation set.
        reach: largest norm of a feature vector, 1 but for rounding.
        rank_one: whether every A_i is x_i y_i^T: one output, and no groups.
    """

    generators: np.ndarray
    shares: np.ndarray
    terminal: np.ndarray
    start: np.ndarray
    time_scale: float
    loss_scale: float
    augmented: bool
    missed: float
    neglected: tuple[float, float] = (0.0, 0.0)
    reach: float = 1.0
    rank_one: bool = False

    def pay(self, loss: float, steepest: float, horizon: float) -> float:
        """Lower a bound by what the neglected misfits can change.

        With misfits up to e on the training set |a|^2 grows by e^2 / 2 a unit of time at most, and V = a^T P a falls by
        2 |P x| |a| e at most.
        """
        train, evaluation = self.neglected
        farthest = float(np.sqrt(self.start @ self.start + horizon * train**2 / 2))
        loss -= 2 * horizon * steepest * self.reach * farthest * train
        return 0.5 * max(float(np.sqrt(2 * max(loss, 0.0))) - evaluation, 0.0) ** 2 if evaluation else loss


def certificate_tasks(problem: OperatorProblem, groups: np.ndarray | None) -> list[CertificateTask]:
    """One task for each output, or one for all of them where they are few; the losses of tasks add up.

    Arguments:
        problem: a data problem.
        groups: group number of each example, or None for weights on examples.

    Raises:
        ValueError: features that explain no part of the targets.
    """
    features, targets, mass = (_float64(x) for x in (problem.features, problem.targets, problem.example_mass))
    held_features, held_targets, held_mass = (_float64(x) for x in problem.evaluation)
    initial = _float64(problem.initial_parameters)
    targets, held_targets = targets - features @ initial, held_targets - held_features @ initial
    used = mass > 0  # no weight brings in an example without mass
    features, targets, mass = features[used], targets[used], mass[used]
    groups = None if groups is None else np.unique(groups[used], return_inverse=True)[1]
    # only directions that some example excites can move
    _, values, rows = np.linalg.svd(features, full_matrices=False)
    basis = rows[values > values[0] * 1e-13 * max(features.shape)].T if values[0] > 0 else rows[:0].T
    scale = float(np.sqrt(np.max(np.sum(features**2, axis=1)))) or 1.0
    features, held_features = features @ basis / scale, held_features @ basis / scale
    root = np.sqrt(mass)[:, None]
    solution = np.linalg.lstsq(root * features, root * targets, rcond=None)[0]
    explained = np.sum(mass[:, None] * (features @ solution) ** 2)
    if not explained > 1e-20 * np.sum(mass[:, None] * targets**2):
        raise ValueError(
            "the features explain no part of what the targets lack at the start: no schedule can learn anything, and "
            "there is nothing to certify; give features that correlate with the targets."
        )
    unit = float(np.sqrt(0.5 * np.sum(held_mass[:, None] * held_targets**2)))
    if not unit > 0:
        raise ValueError("the loss is zero before training: there is nothing to certify.")
    solution, targets, held_targets = solution / unit, targets / unit, held_targets / unit
    together = solution.size <= STACKED
    misfit, held_misfit = targets - features @ solution, held_targets - held_features @ solution
    size = np.sqrt(np.max(np.sum(targets**2, axis=1)))
    held = np.sqrt(np.sum(held_mass[:, None] * held_misfit**2))
    augmented = bool(np.sqrt(np.max(np.sum(misfit**2, axis=1))) > _REALISABLE * size or held > _REALISABLE)
    tasks = []
    for columns in [list(range(solution.shape[1]))] if together else [[c] for c in range(solution.shape[1])]:
        tasks.append(
            _task(
                (features, targets[:, columns], mass),
                (held_features, held_targets[:, columns], held_mass),
                solution[:, columns],
                groups,
                augmented,
                (1 / scale**2, unit**2),
            )
        )
    return tasks


def _task(training, evaluation, solution, groups, augmented, scales) -> CertificateTask:
    features, targets, mass = training
    held_features, held_targets, held_mass = evaluation
    width, outputs = solution.shape
    misfit, held_misfit = targets - features @ solution, held_targets - held_features @ solution
    train = float(np.sqrt(np.max(np.sum(misfit**2, axis=1))))
    held = float(np.sqrt(np.sum(held_mass[:, None] * held_misfit**2)))
    state = width * outputs + augmented
    generators = np.zeros((len(features), state, state))
    terminal = np.zeros((state, state))
    for c in range(outputs):
        block = slice(c * width, (c + 1) * width)
        generators[:, block, block] = features[:, :, None] * features[:, None, :]
        terminal[block, block] = held_features.T @ (held_mass[:, None] * held_features) / 2
        if augmented:
            generators[:, block, -1] = features * misfit[:, c : c + 1]
            terminal[block, -1] = terminal[-1, block] = held_features.T @ (held_mass * held_misfit[:, c]) / 2
    missed = np.sum(misfit**2, axis=1)
    if augmented:
        terminal[-1, -1] = held**2 / 2
    if groups is not None:
        share = np.zeros((groups.max() + 1, len(groups)))
        share[groups, np.arange(len(groups))] = mass
        mass = share.sum(axis=1)
        share /= mass[:, None]
        generators, missed = np.tensordot(share, generators, axes=1), share @ missed
    start = np.append(solution.T.ravel(), 1.0) if augmented else solution.T.ravel()
    reach = float(np.sqrt(np.max(np.sum(features**2, axis=1))))
    return CertificateTask(
        generators,
        mass / mass.sum(),
        terminal,
        start,
        scales[0],
        scales[1],
        augmented,
        float(missed.max()),
        (0.0, 0.0) if augmented else (train, held),
        reach,
        groups is None and outputs == 1,
    )


def _float64(values) -> np.ndarray:
    return np.asarray(values, np.float64)
