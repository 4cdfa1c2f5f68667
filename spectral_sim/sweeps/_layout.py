"""Which arrays a store has, as zarr wrote them down, and which files they lie in."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._schema import (
    Malformed,
    boolean,
    choice,
    either,
    explained,
    integer,
    items,
    mapping,
    nothing,
    number,
    plain,
    read_json,
    record,
    text,
)
from ._errors import StoreError
from ._manifest import check_files

ROOT = "zarr.json"
_ROWS = "schedules"
_TYPES = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), "float32", "float64")
_LONGEST = 2**31 - 1
_ASIDE = r"\.[0-9a-f]{32}\.partial"  # what zarr calls a file until it is whole
_LENGTHS = items(integer(low=0, high=_LONGEST))
# Numbers as plain bytes, one file for each chunk: zarr decodes nothing else, and asks no other code for help.
_ARRAY = record(
    None,
    plain(),
    zarr_format=choice(3),
    node_type=choice("array"),
    shape=_LENGTHS,
    data_type=choice(*_TYPES),
    chunk_grid=record(name=choice("regular"), configuration=record(chunk_shape=_LENGTHS)),
    chunk_key_encoding=record(name=choice("default"), configuration=record(separator=choice("/"))),
    fill_value=either(number(), choice("NaN"), boolean()),
    codecs=items(record({"configuration": record(endian=choice("little"))}, name=choice("bytes")), length=1),
    dimension_names=items(text()),
    attributes=mapping(plain()),
    storage_transformers=items(nothing(), length=0),
)
_ROOT = record(
    zarr_format=choice(3),
    node_type=choice("group"),
    attributes=record(
        None,
        plain(),
        title=text(),
        kind=choice("grid", "sobol", "random"),
        hash=text(),
        blocks=text(),
        dtype=text(),
        last_time=number(),
        refreshes_per_decade=number(),
    ),
    consolidated_metadata=record(
        None, plain(), kind=choice("inline"), must_understand=boolean(), metadata=mapping(_ARRAY)
    ),
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The arrays of a store and their files.

    Arguments:
        arrays: what zarr says of each.
        rows: number of rows.
        chunk: rows of a chunk.
    """

    arrays: dict[str, dict[str, Any]]
    rows: int
    chunk: int

    @property
    def num_chunks(self) -> int:
        return -(-self.rows // self.chunk)

    @property
    def by_row(self) -> list[str]:
        """The arrays with an entry for every row."""
        return [name for name, about in self.arrays.items() if _by_row(about)]

    def rows_of(self, chunk: int) -> slice:
        """The rows of a chunk; the last one may be short."""
        return slice(chunk * self.chunk, min((chunk + 1) * self.chunk, self.rows))

    def chunk_files(self, chunk: int) -> dict[str, int]:
        """The files of a chunk of rows and their lengths."""
        arrays = {name: self.arrays[name] for name in self.by_row}
        return {f"{name}/c/{chunk}{'/0' * (len(a['shape']) - 1)}": _bytes(a) for name, a in arrays.items()}

    def fixed_files(self) -> dict[str, int | None]:
        """The files that were laid out at the start, and the lengths of those that hold numbers."""
        found: dict[str, int | None] = {ROOT: None, **{f"{name}/{ROOT}": None for name in self.arrays}}
        return found | {f"{name}/c/0": _bytes(about) for name, about in self.arrays.items() if not _by_row(about)}


def read_layout(folder: Any, data: bytes, manifest: dict[str, Any]) -> Layout:
    """The layout of a store from what zarr wrote at its root.

    Raises:
        StoreError: it is damaged, does not belong to the manifest, or describes arrays that no sweep writes.
    """
    fix = "Restore the file, or give the sweep another folder."
    return explained(f"{folder}/{ROOT}", fix, StoreError, lambda: _layout(data, manifest))


def is_leftover(name: str, arrays: Sequence[str] | None) -> bool:
    """Whether a file is one that a sweep can have left behind.

    Arguments:
        name: of the file, from the folder of the store.
        arrays: those that were to be laid out; None where not even that had begun.
    """
    if re.fullmatch(r"\.manifest\.json\.part|lock(\.[0-9a-f]+)?|\.lock[\w.]*\.part", name):
        return True
    if arrays is None:
        return False
    mine = rf"manifest\.json|manifest/(\d+\.json|\.\d+\.json\.part)|zarr(\.json|{_ASIDE})"
    inside = rf"zarr(\.json|{_ASIDE})|c/(\d+/)*\d+({_ASIDE})?"
    array, _, rest = name.partition("/")
    return bool(re.fullmatch(mine, name)) or (array in arrays and bool(re.fullmatch(inside, rest)))


def _layout(data: bytes, manifest: dict[str, Any]) -> Layout:
    root = read_json(data, _ROOT)
    arrays = root["consolidated_metadata"]["metadata"]
    blocks = read_json(root["attributes"]["blocks"].encode(), plain())
    if blocks != manifest["blocks"]:
        raise Malformed("attributes.blocks", "is not that of the manifest")
    paths = [path for block in manifest["blocks"] for path in block["paths"]]
    for name in ("status", "refresh", *paths):
        if name not in arrays:
            raise Malformed(f"consolidated_metadata.metadata.{name}", "is missing")
    lengths: dict[str, int] = {}
    for name, about in arrays.items():
        _check_array(name, about, manifest, lengths)
    layout = Layout(arrays, manifest["rows"], manifest["chunk"])
    check_files(manifest["files"], layout.fixed_files())
    return layout


def _check_array(name: str, about: dict[str, Any], manifest: dict[str, Any], lengths: dict[str, int]) -> None:
    field = f"consolidated_metadata.metadata.{name}"
    shape, dims = about["shape"], about["dimension_names"]
    cut = about["chunk_grid"]["configuration"]["chunk_shape"]
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise Malformed(field, "is no name of an array")
    if not dims or len(dims) != len(shape) or len(set(dims)) != len(dims):
        raise Malformed(f"{field}.dimension_names", f"is {dims} for the shape {shape}")
    if _by_row(about):
        fits = shape[0] == manifest["rows"] and cut == [manifest["chunk"], *shape[1:]]
    else:
        fits = dims == [name] and cut == shape
    if not fits:
        raise Malformed(field, f"has the shape {shape} in chunks of {cut}")
    for dim, length in zip(dims, shape, strict=True):
        if lengths.setdefault(dim, length) != length:
            raise Malformed(f"{field}.shape", f"has {length} entries along {dim!r}, and another array {lengths[dim]}")


def _by_row(about: dict[str, Any]) -> bool:
    return about["dimension_names"][:1] == [_ROWS]


def _bytes(about: dict[str, Any]) -> int:
    return math.prod(about["chunk_grid"]["configuration"]["chunk_shape"]) * np.dtype(about["data_type"]).itemsize
