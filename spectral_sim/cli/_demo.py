"""The demonstration: two real data sets, one on which curation buys little and one on which it buys a lot."""

from collections.abc import Callable

from ..assessment import REFRESHES_PER_DECADE, default_entries, default_times
from ..problems import digits, image_patches
from ._data import Features, learning_task
from ._job import Part

__all__ = ["PARTS", "demo_parts"]

PARTS = ("digits", "image_patches")
_PATCH_BANDWIDTH = 20.0  # patches of high contrast are far from all others: the median distance would not reach them


def demo_parts(fast: bool, precision: str, batch_size: int) -> list[tuple[str, Callable[[], Part]]]:
    """Name and builder of both parts; data is read when a part is built."""

    def digits_part() -> Part:
        features = Features("rbf", "nystrom", 64 if fast else 128)
        return _part("digits", "Handwritten digits", digits(), features, fast, precision, batch_size)

    def patches_part() -> Part:
        data = image_patches(8_000, 2_000) if fast else image_patches(50_000, 10_000)
        features = Features("rbf", "nystrom", 48 if fast else 96, _PATCH_BANDWIDTH)
        return _part("image_patches", "Image patches", data, features, fast, precision, batch_size)

    return list(zip(PARTS, (digits_part, patches_part), strict=True))


def _part(name, title, data, features, fast, precision, batch_size) -> Part:
    task = learning_task(data, features, precision=precision, batch_size=batch_size, seed=0)
    times = default_times(task.modal, REFRESHES_PER_DECADE // 2 if fast else REFRESHES_PER_DECADE)
    return Part(
        name=name,
        problem=task.problem,
        entries=default_entries(
            task.problem,
            times,
            reference=task.reference_model(),
            groups=task.groups,
            epoch=task.epoch,
            fast=fast,
        ),
        times=times,
        title=title,
        subject=title.lower(),
        description=task.description,
        cost=task.charge,
        settings=task.settings,
    )
