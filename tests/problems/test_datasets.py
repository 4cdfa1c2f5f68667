"""Built-in data against scikit-learn's own arrays, and photographs of which every pixel is known."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from spectral_sim.problems._datasets import diabetes, digits, image_patches, split


def rows(array: np.ndarray) -> list[tuple]:
    return sorted(map(tuple, array.tolist()))


def test_split_is_a_partition_that_depends_on_the_seed():
    x, y = np.arange(50.0)[:, None] * [1, -1], np.arange(50)
    (train_x, train_y), (held_x, held_y) = split(x, y, num_train=30, seed=1)
    assert (len(train_y), len(held_y)) == (30, 20)
    assert sorted([*train_y, *held_y]) == list(range(50))
    np.testing.assert_array_equal(train_x[:, 0], train_y)  # arrays stay aligned
    np.testing.assert_array_equal(held_x[:, 1], -held_y)
    np.testing.assert_array_equal(split(y, num_train=30, seed=1)[0][0], train_y)
    assert not np.array_equal(split(y, num_train=30, seed=2)[0][0], train_y)


def test_digits():
    source = sklearn.datasets.load_digits()
    data = digits()
    assert data.task == "classification"
    assert (data.inputs.shape, data.targets.shape) == ((1200, 64), (1200, 10))
    assert data.inputs.dtype == data.targets.dtype == np.float64
    both = np.concatenate([data.inputs, data.eval_inputs])
    labels = np.concatenate([data.targets, data.eval_targets]) @ np.arange(10)
    assert rows(np.column_stack([both * 16, labels])) == rows(np.column_stack([source.data, source.target]))
    assert set(np.unique(data.targets)) == {0, 1}
    np.testing.assert_array_equal(data.targets.sum(axis=1), 1)
    np.testing.assert_array_equal(data.groups, data.targets.argmax(axis=1))
    assert data.group_names == data.target_names == tuple("0123456789")
    np.testing.assert_array_equal(digits().inputs, data.inputs)
    assert not np.array_equal(digits(seed=1).inputs, data.inputs)


def test_digits_without_a_held_out_part_or_with_missing_classes():
    everything = digits(1797)
    assert everything.eval_inputs is None
    assert everything.eval_targets is None
    few = digits(8)
    present = np.unique(few.targets.argmax(axis=1))
    assert len(present) < 10  # so that numbering is put to the test
    assert few.group_names == tuple(str(digit) for digit in present)
    assert [few.group_names[g] for g in few.groups] == [str(digit) for digit in few.targets.argmax(axis=1)]


def test_diabetes_is_standardised_on_the_training_part():
    source = sklearn.datasets.load_diabetes(scaled=False)
    raw = np.column_stack([source.data, source.target])
    data = diabetes(num_train=250, seed=3)
    train = np.column_stack([data.inputs, data.targets])
    held_out = np.column_stack([data.eval_inputs, data.eval_targets])
    assert (train.shape, held_out.shape) == ((250, 11), (192, 11))
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-13)
    assert np.abs(held_out.mean(axis=0)).max() > 0.02
    both = np.concatenate(
        [train, held_out]
    )  # one increasing affine map of each raw column, so sorting commutes with it
    for ours, theirs in zip(np.sort(both, axis=0).T, np.sort(raw, axis=0).T, strict=True):
        slope, offset = np.polyfit(theirs, ours, 1)
        assert slope > 0
        np.testing.assert_allclose(slope * theirs + offset, ours, atol=1e-10)
    assert (data.task, data.groups, data.group_names, data.target_names) == ("regression", None, (), ("progression",))
    mean, deviation = map(float, re.search(r"mean (\S+), standard deviation (\S+)\)", data.description).groups())
    assert rows(np.round(data.targets * deviation + mean)) != rows(np.round(data.targets))
    assert set(np.round(data.targets[:, 0] * deviation + mean, 1)) <= set(source.target)
    assert diabetes(442).eval_inputs is None


def test_image_patches_of_the_photographs():
    data = image_patches(num_train=4000, num_eval=500)
    assert (data.inputs.shape, data.targets.shape) == ((4000, 60), (4000, 4))
    assert (data.eval_inputs.shape, data.eval_targets.shape) == ((500, 60), (500, 4))
    np.testing.assert_allclose([data.inputs.std(), data.targets.std()], 1, rtol=1e-12)
    assert abs(data.eval_inputs.std() - 1) > 1e-3  # scaled by the training part's numbers
    np.testing.assert_allclose(data.inputs.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(data.eval_inputs.mean(axis=1), 0, atol=1e-12)
    design = np.column_stack([data.inputs, np.ones(4000)])
    residual = data.targets - design @ np.linalg.lstsq(design, data.targets, rcond=None)[0]
    assert 0.1 < residual.var() / data.targets.var() < 0.8  # the surround tells something about the centre, not all
    np.testing.assert_array_equal(np.bincount(data.groups), 500)
    contrast = data.inputs.std(axis=1)
    for group in range(7):
        assert contrast[data.groups == group].max() <= contrast[data.groups == group + 1].min()
    assert len(data.group_names) == 8
    np.testing.assert_array_equal(image_patches(num_train=4000, num_eval=500).inputs, data.inputs)
    assert not np.array_equal(image_patches(num_train=4000, num_eval=500, seed=1).inputs, data.inputs)


def test_training_and_held_out_patches_share_no_pixel(monkeypatch):
    rng = np.random.default_rng(0)
    photographs = [rng.integers(0, 256, (24, 64, 3)) for _ in range(2)]
    monkeypatch.setattr(sklearn.datasets, "load_sample_images", lambda: SimpleNamespace(images=photographs))
    data = image_patches(num_train=1000, num_eval=80, patch=6, centre=2)
    luminance = [photograph @ [0.299, 0.587, 0.114] for photograph in photographs]
    # Noise makes the direction of each surround a fingerprint of its position.
    inside = np.zeros((6, 6), bool)
    inside[2:4, 2:4] = True
    places, surrounds, centres = [], [], []
    for photograph, image in enumerate(luminance):
        for row in range(24 - 5):
            for column in range(64 - 5):
                cut = image[row : row + 6, column : column + 6]
                places.append((photograph, row, column))
                surrounds.append(cut[~inside] - cut[~inside].mean())
                centres.append(cut[inside] - cut[~inside].mean())
    surrounds, centres = np.array(surrounds), np.array(centres)
    unit = surrounds / np.linalg.norm(surrounds, axis=1, keepdims=True)

    def pixels(inputs: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, list[float]]:
        match = (inputs / np.linalg.norm(inputs, axis=1, keepdims=True)) @ unit.T
        found = match.argmax(axis=1)
        assert match.max(axis=1).min() > 1 - 1e-12
        assert len(set(found)) == len(found)  # no patch is drawn twice
        input_scale = np.linalg.norm(surrounds[found], axis=1) / np.linalg.norm(inputs, axis=1)
        np.testing.assert_allclose(input_scale, input_scale[0])  # one number for all
        target_scale = centres[found] / targets
        np.testing.assert_allclose(target_scale, target_scale[0, 0])
        seen = np.zeros((2, 24, 64), bool)
        for photograph, row, column in (places[i] for i in found):
            seen[photograph, row : row + 6, column : column + 6] = True
        return seen, [input_scale[0], target_scale[0, 0]]

    train, scales = pixels(data.inputs, data.targets)
    held_out, held_out_scales = pixels(data.eval_inputs, data.eval_targets)
    np.testing.assert_allclose(scales, held_out_scales)
    assert not (train & held_out).any()
    assert train.any(axis=(1, 2)).all()
    assert held_out.any(axis=(1, 2)).all()  # both photographs in both parts
    assert (train | held_out).mean() > 0.95  # hence every region is used


def test_image_patches_of_other_sizes():
    data = image_patches(num_train=100, num_eval=0, patch=5, centre=3)
    assert (data.inputs.shape, data.targets.shape) == ((100, 16), (100, 9))
    assert data.eval_inputs is None
    assert data.eval_targets is None
    assert len(data.target_names) == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split(np.ones(3), np.ones(4), num_train=2), "arrays have [3, 4] examples"),
        (lambda: split(np.ones(3), num_train=4), "num_train=4 is not possible: give a whole number from 1 to 3"),
        (lambda: digits(1798), "num_train=1798 is not possible: give a whole number from 8 to 1797"),
        (lambda: digits(7), "num_train=7 is not possible"),
        (lambda: diabetes(0.5), "num_train=0.5 is not possible: give a whole number from 8 to 442"),
        (lambda: image_patches(patch=81), "patch=81 is not possible: give a whole number from 2 to 80"),
        (lambda: image_patches(centre=8), "centre=8 is not possible: give a whole number from 1 to 7"),
        (lambda: image_patches(centre=3), "centre=3 cannot lie in the middle of patch=8: give centre=4"),
        (lambda: image_patches(num_train=7), "num_train=7 is not possible: give a whole number from 8 to"),
        (
            lambda: image_patches(num_train=10**6),
            f"num_train=1000000 is not possible: give a whole number from 8 to {4 * 420 * 233}",
        ),
        (
            lambda: image_patches(num_eval=10**6),
            f"num_eval=1000000 is not possible: give a whole number from 1 to {4 * 420 * 73}",
        ),
        (lambda: image_patches(num_eval=-1), "num_eval=-1 is not possible"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("call", [digits, diabetes, image_patches])
def test_a_missing_scikit_learn_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        ImportError, match=re.escape(f"{call.__name__}() needs the package 'sklearn': pip install 'spectral_sim[data]'")
    ):
        call()


def test_a_missing_pillow_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ImportError, match=re.escape("image_patches() needs the package 'PIL': pip install 'spectral_sim[data]'")
    ):
        image_patches()
