"""Data sets for operator problems: the container, random splits, and real data that comes with scikit-learn."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._extras import require

MIN_EXAMPLES = 8
_CONTRAST_GROUPS = 8
_LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs and targets of one task, as NumPy arrays in double precision.

    Arguments:
        name: short name.
        inputs: training inputs, shape (examples, dimensions).
        targets: training targets, shape (examples, outputs); one column per class for classification.
        target_names: name of each output.
        task: "classification" (targets are one-hot) or "regression".
        groups: group number of each training example, shape (examples,), from 0 with every number present; or None.
        group_names: name of each group; empty without groups.
        eval_inputs: held-out inputs, shape (held_out, dimensions), or None.
        eval_targets: held-out targets, shape (held_out, outputs), or None.
        description: where the data comes from and what was done to it.
        notes: what was done with each column, one sentence each, where the data comes from a file.
        warnings: what should be looked at before the results are believed.
        rows: row of the file, from 0, that each training example comes from, shape (examples,), or None.
        eval_rows: row of the file that each held-out example comes from, or None.
        mislabelled: which training examples have a label known to be wrong, shape (examples,), or None.
        eval_groups: group number of each held-out example, -1 for a group that does not train, or None.
        eval_mislabelled: as `mislabelled`, of held-out examples.
        inputs_are: "inputs" of a kernel; "features", used as they are; or "gram": `inputs` is the kernel between
            training examples, and `eval_inputs` that between held-out and training examples.
    """

    name: str
    inputs: np.ndarray
    targets: np.ndarray
    target_names: tuple[str, ...]
    task: Literal["classification", "regression"]
    groups: np.ndarray | None
    group_names: tuple[str, ...]
    eval_inputs: np.ndarray | None
    eval_targets: np.ndarray | None
    description: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: np.ndarray | None = None
    eval_rows: np.ndarray | None = None
    mislabelled: np.ndarray | None = None
    eval_groups: np.ndarray | None = None
    eval_mislabelled: np.ndarray | None = None
    inputs_are: Literal["inputs", "features", "gram"] = "inputs"


def split(*arrays: np.ndarray, num_train: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Split arrays at random along their common leading axis.

    Arguments:
        *arrays: arrays with the same leading axis, examples.
        num_train: number of training examples.
        seed: seed of the permutation.

    Returns:
        The training part and the held-out part of each array. Every example is in exactly one of them.

    Raises:
        ValueError: arrays of unequal length, or a num_train that they cannot provide.
    """
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"arrays have {lengths} examples: give arrays with the same leading axis.")
    _check_count("num_train", num_train, 1, lengths[0])
    order = np.random.default_rng(seed).permutation(lengths[0])
    return [array[order[:num_train]] for array in arrays], [array[order[num_train:]] for array in arrays]


def digits(num_train: int = 1200, seed: int = 0) -> Dataset:
    """Handwritten digits: 1797 images of 8 x 8 pixels in ten classes.

    Pixels are divided by 16, so that inputs lie in [0, 1]. Targets are one-hot and not centred: the frequency of each
    class is part of what is to be learnt. Groups are the digits.

    Arguments:
        num_train: training examples, 8 to 1797; the others are held out.
        seed: seed of the split.

    Returns:
        The data, with eval_inputs None where all examples train.

    Raises:
        ValueError: a num_train out of range.
        ImportError: scikit-learn is not installed.

    Source:
        scikit-learn `load_digits` (UCI, optical recognition of handwritten digits).
    """
    data = require("sklearn.datasets", "digits()").load_digits()
    _check_count("num_train", num_train, MIN_EXAMPLES, len(data.target))
    one_hot = np.eye(10)[data.target]
    order = np.arange(len(data.target))
    train, held_out = split(data.data / 16.0, one_hot, data.target, order, num_train=num_train, seed=seed)
    groups, group_names = number_groups(train[2])
    return Dataset(
        name="digits",
        inputs=train[0],
        targets=train[1],
        target_names=tuple(str(digit) for digit in range(10)),
        task="classification",
        groups=groups,
        group_names=group_names,
        eval_inputs=_or_none(held_out[0]),
        eval_targets=_or_none(held_out[1]),
        description="Handwritten digits, 8 x 8 pixels in [0, 1], one-hot targets; groups are the digits.",
        rows=train[3],
        eval_rows=_or_none(held_out[3]),
        eval_groups=_or_none(np.searchsorted(np.unique(train[2]), held_out[2])),
    )


def diabetes(num_train: int = 300, seed: int = 0) -> Dataset:
    """Disease progression of 442 patients from ten measurements.

    Inputs and target are standardised with the mean and standard deviation of the training part.

    Arguments:
        num_train: training examples, 8 to 442; the others are held out.
        seed: seed of the split.

    Returns:
        The data, with eval_inputs None where all examples train. It has no groups.

    Raises:
        ValueError: a num_train out of range.
        ImportError: scikit-learn is not installed.

    Source:
        scikit-learn `load_diabetes` (Efron et al. 2004, "Least angle regression").
    """
    data = require("sklearn.datasets", "diabetes()").load_diabetes(scaled=False)
    _check_count("num_train", num_train, MIN_EXAMPLES, len(data.target))
    order = np.arange(len(data.target))
    train, held_out = split(data.data, data.target[:, None], order, num_train=num_train, seed=seed)
    inputs, eval_inputs, _, _ = standardise_columns(train[0], held_out[0])
    targets, eval_targets, mean, deviation = standardise_columns(train[1], held_out[1])
    return Dataset(
        name="diabetes",
        inputs=inputs,
        targets=targets,
        target_names=("progression",),
        task="regression",
        groups=None,
        group_names=(),
        eval_inputs=_or_none(eval_inputs),
        eval_targets=_or_none(eval_targets),
        description="Diabetes progression after one year; inputs and target standardised on the training part "
        f"(target: mean {mean[0]:.6g}, standard deviation {deviation[0]:.6g}).",
        rows=train[2],
        eval_rows=_or_none(held_out[2]),
    )


def image_patches(
    num_train: int = 50_000, num_eval: int = 10_000, patch: int = 8, centre: int = 2, seed: int = 0
) -> Dataset:
    """Predict the centre of a patch of a photograph from its surround.

    Patches are drawn without repeats from the luminance of two photographs. The mean of each patch's surround is taken
    off its surround and its centre; then inputs and targets are each divided by one number, their overall standard
    deviation in the training part. Groups are eighths of the training patches by contrast, the standard deviation of
    the surround, from the lowest.

    Each photograph is cut into eight vertical strips of equal width. Held-out patches lie wholly inside the fourth or
    the eighth strip and training patches wholly outside both, so no pixel is seen in both parts.

    Arguments:
        num_train: training patches, at least 8.
        num_eval: held-out patches; 0 for none.
        patch: side of a patch in pixels, at most the width of a strip (80).
        centre: side of the centre in pixels, below `patch` by an even number, so that it lies in the middle.
        seed: seed of the draw.

    Returns:
        The data, with patch^2 - centre^2 inputs and centre^2 targets, each in order of rows.

    Raises:
        ValueError: sizes that do not fit, or more patches than the photographs hold.
        ImportError: scikit-learn or Pillow is not installed.

    Source:
        scikit-learn `load_sample_images`.
    """
    require("PIL", "image_patches()")
    photographs = require("sklearn.datasets", "image_patches()").load_sample_images().images
    images = [photograph @ np.array(_LUMINANCE) for photograph in photographs]
    _check_count("patch", patch, 2, min(min(image.shape[0], image.shape[1] // 8) for image in images))
    _check_count("centre", centre, 1, patch - 1)
    if (patch - centre) % 2:
        raise ValueError(f"centre={centre} cannot lie in the middle of patch={patch}: give centre={centre + 1}.")
    rng = np.random.default_rng(seed)
    train = _draw_patches("num_train", images, [(0, 3), (4, 7)], patch, num_train, MIN_EXAMPLES, rng)
    inputs, targets = _surround_and_centre(train, centre)
    contrast_rank = np.argsort(np.argsort(inputs.std(axis=1), kind="stable"))
    input_scale, target_scale = inputs.std(), targets.std()
    eval_inputs, eval_targets = None, None
    if num_eval != 0:
        held_out = _draw_patches("num_eval", images, [(3, 4), (7, 8)], patch, num_eval, 1, rng)
        eval_inputs, eval_targets = _surround_and_centre(held_out, centre)
        eval_inputs, eval_targets = eval_inputs / input_scale, eval_targets / target_scale
    return Dataset(
        name="image_patches",
        inputs=inputs / input_scale,
        targets=targets / target_scale,
        target_names=tuple(f"pixel {row},{column}" for row in range(centre) for column in range(centre)),
        task="regression",
        groups=contrast_rank * _CONTRAST_GROUPS // num_train,
        group_names=tuple(f"contrast {i + 1} of {_CONTRAST_GROUPS}" for i in range(_CONTRAST_GROUPS)),
        eval_inputs=eval_inputs,
        eval_targets=eval_targets,
        description=f"Centres ({centre} x {centre}) of {patch} x {patch} patches of two photographs from the surround, "
        "less the mean of the surround, at unit standard deviation; groups are eighths by contrast.",
    )


def number_groups(labels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the labels that occur from 0, in sorted order, and name them."""
    present, numbers = np.unique(labels, return_inverse=True)
    return numbers, tuple(str(label) for label in present)


def standardise_columns(
    train: np.ndarray, held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both parts with the columns' training mean taken off, over their training deviation; then these two."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / deviation, (held_out - mean) / deviation, mean, deviation


def _draw_patches(
    name: str,
    images: list[np.ndarray],
    strips: list[tuple[int, int]],
    patch: int,
    num_patches: int,
    at_least: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Different patches, shape (num_patches, patch, patch), each inside one range of strips of one image."""
    windows = []
    for image in images:
        edges = np.arange(9) * image.shape[1] // 8
        for first, last in strips:
            region = image[:, edges[first] : edges[last]]
            windows.append(np.lib.stride_tricks.sliding_window_view(region, (patch, patch)))
    ends = np.cumsum([rows * columns for rows, columns, _, _ in (window.shape for window in windows)])
    _check_count(name, num_patches, at_least, int(ends[-1]))
    drawn = rng.choice(ends[-1], num_patches, replace=False)
    patches = np.empty((num_patches, patch, patch))
    for window, end in zip(windows, ends, strict=True):
        start = end - window.shape[0] * window.shape[1]
        here = (drawn >= start) & (drawn < end)
        patches[here] = window[np.unravel_index(drawn[here] - start, window.shape[:2])]
    return patches


def _surround_and_centre(patches: np.ndarray, centre: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels around and inside the centre of each patch, less the mean of those around."""
    patch = patches.shape[1]
    margin = (patch - centre) // 2
    inside = np.zeros((patch, patch), bool)
    inside[margin : patch - margin, margin : patch - margin] = True
    surround = patches[:, ~inside]
    mean = surround.mean(axis=1, keepdims=True)
    return surround - mean, patches[:, inside] - mean


def _check_count(name: str, value: Any, low: int, high: int) -> None:
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"{name}={value!r} is not possible: give a whole number from {low} to {high}.")


def _or_none(array: np.ndarray) -> np.ndarray | None:
    return array if len(array) else None
