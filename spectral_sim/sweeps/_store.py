"""A sweep on disk: arrays in Zarr, and a manifest that says which chunks of them count.

Every variable is an array whose first axis is `schedules`, in chunks of the sweep's own. A chunk of rows is one file
for each variable; it counts once its entry in `manifest/` is there, which is written last and at once.
"""

import contextlib
import json
import os
import warnings
from typing import Any

import jax
import numpy as np

from .._extras import require
from .._identity import difference
from ._folder import StoreError, open_folder
from ._plan import Plan

__all__ = ["Store", "StoreError", "open_table"]

_MANIFEST, _ENTRIES = "manifest.json", "manifest"
_FORMAT = 1
_BEGUN = {"format": _FORMAT, "begun": True}  # while the arrays are laid out; such a store is begun again
_OURS = {"lock", f".{_MANIFEST}.part"}


class Store:
    """A store opened for writing, by one process at a time.

    Arguments:
        address: folder or fsspec address.
    """

    def __init__(self, address: str | os.PathLike):
        self._folder = open_folder(address)
        self._arrays: dict[str, Any] = {}

    def __str__(self) -> str:
        return str(self._folder)

    def __enter__(self) -> "Store":
        with _explained(self, "opened"):
            self._folder.lock()
        return self

    def __exit__(self, *error: Any) -> None:
        self._folder.unlock()

    def manifest(self) -> dict[str, Any] | None:
        """What the store says of itself; None where it holds no sweep yet.

        Raises:
            StoreError: a manifest that cannot be read, or a folder of something else.
        """
        return _read_manifest(self._folder)

    def begin(self, plan: Plan, title: str, attributes: dict[str, Any]) -> None:
        """Lay out the arrays of a new store; what the manifest says of them comes last."""
        zarr = require("zarr", "a store on disk")
        from ._table import columns_of

        with _explained(self, "written"):
            self._folder.write(_MANIFEST, json.dumps(_BEGUN).encode())
            for name in self._folder.names() - {"lock", _MANIFEST}:
                self._folder.remove(name)
            group = zarr.create_group(self._folder.zarr, attributes=attributes)
            for name, column in columns_of(plan).items():
                array = _create(zarr, group, name, column, plan)
                if column.dims[0] == "schedules":
                    self._arrays[name] = array
            with warnings.catch_warnings():  # zarr tells that older readers list the folders instead, which works too
                warnings.simplefilter("ignore", UserWarning)
                zarr.consolidate_metadata(self._folder.zarr)
            manifest = {
                "format": _FORMAT,
                "title": title,
                "hash": plan.hash,
                "description": plan.description,
                "versions": plan.versions,
                "dtype": str(np.dtype(plan.problem.dtype)),
                "device_kind": jax.devices()[0].device_kind,
                "rows": len(plan.spec),
                "chunk": plan.chunk,
                "blocks": [{"paths": block.paths, "length": len(block)} for block in plan.spec.blocks],
            }
            self._folder.write(_MANIFEST, json.dumps(manifest, indent=1).encode())

    def resume(self, plan: Plan, manifest: dict[str, Any]) -> set[int]:
        """Open the arrays of a store that is there; returns the chunks that it holds.

        Raises:
            StoreError: a store of another spec, dtype or version, with both named.
        """
        check_same(self, plan, manifest)
        zarr = require("zarr", "a store on disk")
        # a chunk of which every row failed is a chunk all the same
        with _explained(self, "opened"), zarr.config.set({"array.write_empty_chunks": True}):
            group = zarr.open_group(self._folder.zarr, mode="r+", use_consolidated=True)
            by_row = lambda array: array.metadata.dimension_names[:1] == ("schedules",)
            self._arrays = {name: array for name, array in group.arrays() if by_row(array)}
            return self._whole_chunks()

    def write(self, chunk: int, rows: slice, columns: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        """Write the rows of a chunk, see them onto the disk, and only then enter them in the manifest."""
        with _explained(self, "written"):
            for name, values in columns.items():
                self._arrays[name][rows] = values
            sizes = self._folder.flush(self._files(chunk))
            entry = {"chunk": chunk, "rows": [rows.start, rows.stop], "bytes": sizes, **note}
            self._folder.write(f"{_ENTRIES}/{chunk}.json", json.dumps(entry).encode())

    def _files(self, chunk: int) -> list[str]:
        return [f"{name}/c/{chunk}{'/0' * (array.ndim - 1)}" for name, array in self._arrays.items()]

    def _whole_chunks(self) -> set[int]:
        """Chunks with an entry, every file of which is there and as long as it was."""
        there = {name: self._folder.names(f"{name}/c") for name in self._arrays}
        whole = set()
        for name in self._folder.names(_ENTRIES):
            number = name.removesuffix(".json")
            if not number.isdigit() or not all(number in names for names in there.values()):
                continue
            entry = _parsed(self._folder.read(f"{_ENTRIES}/{name}"))
            if entry is not None and all(self._folder.size(file) == n for file, n in entry["bytes"].items()):
                whole.add(int(number))
        return whole


def check_same(store: Any, plan: Plan, manifest: dict[str, Any]) -> None:
    """Raise StoreError unless a manifest is that of `plan`."""
    fix = "give this sweep a store of its own, or delete that one."
    for what, ours in plan.versions.items():
        theirs = manifest["versions"].get(what)
        if theirs != ours:
            raise StoreError(f"{store} was written by {what} {theirs}, and this is {what} {ours}: {fix}")
    dtype = str(np.dtype(plan.problem.dtype))
    if manifest["dtype"] != dtype:
        raise StoreError(f"{store} holds a sweep in {manifest['dtype']}, and this one is in {dtype}: {fix}")
    if manifest["hash"] != plan.hash:
        where = difference(plan.description, manifest["description"])
        raise StoreError(f"{store} holds another sweep ({manifest['hash']}, this is {plan.hash}): {where}; {fix}")
    if manifest["chunk"] != plan.chunk:
        raise StoreError(
            f"{store} is in chunks of {manifest['chunk']} rows, and chunk_size is {plan.chunk}: leave chunk_size out."
        )


def open_table(address: str | os.PathLike) -> Any:
    """The table in a store, finished or not, as an `xarray.Dataset` that reads what is looked at.

    Rows of chunks that are missing have status -1 and NaN elsewhere; the attribute `complete` is 0 if there are any.

    Raises:
        StoreError: no store there.
        ImportError: xarray or zarr is not installed.
    """
    folder = open_folder(address)
    manifest = _read_manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder} holds no sweep: check the address.")
    with _explained(folder, "read"):
        dataset = require("xarray", "the table of a sweep").open_zarr(folder.zarr, chunks=None, consolidated=True)
        chunks = -(-manifest["rows"] // manifest["chunk"])
        entries = sum(f"{n}.json" in names for names in [folder.names(_ENTRIES)] for n in range(chunks))
    # the parameters are coordinates: what a row is, not what came of it
    parameters = [path for block in manifest["blocks"] for path in block["paths"]]
    dataset = dataset.set_coords([name for name in parameters if name in dataset])
    return dataset.assign_attrs(title=manifest["title"], complete=int(entries == chunks), chunks_done=entries)


def _create(zarr: Any, group: Any, name: str, column: Any, plan: Plan) -> Any:
    shape, dtype, dims, attributes = column
    if dims[:1] != ("schedules",):  # values along a further axis: known now, and small
        array = group.create_array(name, data=np.asarray(shape, dtype), dimension_names=dims, attributes=attributes)
        return array
    return group.create_array(
        name,
        shape=shape,
        chunks=(plan.chunk, *shape[1:]),
        dtype=dtype,
        compressors=None,  # numbers in full precision hardly shrink
        fill_value=-1 if np.issubdtype(dtype, np.integer) else np.nan,
        dimension_names=dims,
        attributes=attributes,
        config={"write_empty_chunks": True},  # a chunk of which every row failed is a chunk all the same
    )


def _read_manifest(folder: Any) -> dict[str, Any] | None:
    with _explained(folder, "read"):
        text = folder.read(_MANIFEST)
        names = folder.names()
    if text is None:
        if names - _OURS:
            raise StoreError(f"{folder} holds something that is no sweep: give a new or an empty folder.")
        return None
    manifest = _parsed(text)
    if manifest is None or manifest.get("format") != _FORMAT:
        raise StoreError(f"{folder} has a {_MANIFEST} that cannot be read: delete the store, or restore that file.")
    return None if manifest == _BEGUN else manifest


def _parsed(text: bytes | None) -> Any:
    with contextlib.suppress(ValueError):
        return None if text is None else json.loads(text)
    return None


@contextlib.contextmanager
def _explained(store: Any, verb: str) -> Any:
    """Failures of the disk in words; what has been committed stays."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{store} cannot be {verb}: {error.strerror or error}. What was finished is kept: put that right and run "
            "the same sweep again with resume=True."
        ) from error
