"""A sweep on disk: arrays in Zarr, and a manifest that says which chunks of them count.

Every variable is an array whose first axis is `schedules`, in chunks of the sweep's own. A chunk of rows is one file
for each variable. It counts once its entry in `manifest/` is there, which is written last and at once, and as long as
every one of its files has the checksum that the entry names.
"""

import json
import os
import warnings
from typing import Any

import jax
import numpy as np

from .._extras import require
from .._identity import difference
from ._errors import StoreError, explained_store
from ._folder import open_folder
from ._layout import Layout, is_leftover
from ._lock import Lock
from ._manifest import FORMAT, MANIFEST, entry_name
from ._plan import Plan
from ._reading import checked_store, chunks_whole, read_layout_of, read_manifest_of


class Store:
    """A store opened for writing, by one process at a time.

    Arguments:
        address: folder or fsspec address.
    """

    def __init__(self, address: str | os.PathLike[str]):
        self._folder = open_folder(address)
        self._lock = Lock(self._folder)
        self._arrays: dict[str, Any] = {}
        self._layout: Layout | None = None

    def __str__(self) -> str:
        return str(self._folder)

    def __enter__(self) -> "Store":
        self.manifest()  # nothing is written into a folder of something else, not even a lock
        with explained_store(self, "opened"):
            self._lock.take()
        return self

    def __exit__(self, *error: Any) -> None:
        self._lock.release()

    def manifest(self) -> dict[str, Any] | None:
        """What the store says of itself; None where it holds no sweep yet.

        Raises:
            StoreError: a manifest that cannot be read, or a folder of something else.
        """
        manifest = read_manifest_of(self._folder)
        return None if manifest is None or "begun" in manifest else manifest

    def begin(self, plan: Plan, title: str, attributes: dict[str, Any]) -> None:
        """Lay out the arrays of a new store; what the manifest says of them comes last."""
        from ._table import columns_of

        zarr = require("zarr", "a store on disk")
        columns = columns_of(plan)
        with explained_store(self, "written"):
            self._clear(list(columns))
            self._checked = checked_store(self._folder, {})
            group = zarr.create_group(self._checked, attributes=attributes)
            for name, column in columns.items():
                array = _create(group, name, column, plan)
                if column.dims[0] == "schedules":
                    self._arrays[name] = array
            with warnings.catch_warnings():  # zarr tells that older readers list the folders instead, which works too
                warnings.simplefilter("ignore", UserWarning)
                zarr.consolidate_metadata(self._checked)
            self._folder.flush(self._checked.sums)
            manifest = {
                "format": FORMAT,
                "title": title,
                "hash": plan.hash,
                "description": plan.description,
                "versions": plan.versions,
                "dtype": str(np.dtype(plan.problem.dtype)),
                "device_kind": jax.devices()[0].device_kind,
                "rows": len(plan.spec),
                "chunk": plan.chunk,
                "blocks": [{"paths": list(block.paths), "length": len(block)} for block in plan.spec.blocks],
                "files": {name: check._asdict() for name, check in self._checked.sums.items()},
            }
            self._folder.write(MANIFEST, json.dumps(manifest, indent=1).encode())
        written = self.manifest()
        assert written is not None
        self._layout = read_layout_of(self._folder, written)

    def _clear(self, arrays: list[str]) -> None:
        """Take away what a sweep left behind that was stopped while it laid out its arrays, and nothing else."""
        begun = read_manifest_of(self._folder)
        left = None if begun is None else begun["arrays"]
        names = sorted(self._folder.sizes())
        foreign = [name for name in names if not is_leftover(name, left)]
        if foreign:
            raise StoreError(f"{self} holds something that is no sweep ({foreign[0]}): give a new or an empty folder.")
        # from here on this store is known by what it may come to hold
        stub = {"format": FORMAT, "begun": True, "arrays": sorted({*(left or ()), *arrays})}
        self._folder.write(MANIFEST, json.dumps(stub).encode())
        for name in names:
            if name != MANIFEST and not name.lstrip(".").startswith("lock"):
                self._folder.remove(name)

    def resume(self, plan: Plan, manifest: dict[str, Any]) -> set[int]:
        """Open the arrays of a store that is there; returns the chunks that it holds.

        Raises:
            StoreError: a store of another spec, dtype or version, with both named, or one whose layout is damaged.
        """
        check_same(self, plan, manifest)
        zarr = require("zarr", "a store on disk")
        with explained_store(self, "opened"):
            self._layout = read_layout_of(self._folder, manifest)
            whole, sums = chunks_whole(self._folder, self._layout, thorough=True)
            self._checked = checked_store(self._folder, {**manifest["files"], **sums})
            # a chunk of which every row failed is a chunk all the same
            with zarr.config.set({"array.write_empty_chunks": True}):
                group = zarr.open_group(self._checked, mode="r+", use_consolidated=True, zarr_format=3)
                self._arrays = {name: group[name] for name in self._layout.by_row}
        return whole

    def write(self, chunk: int, rows: slice, columns: dict[str, np.ndarray], note: dict[str, Any]) -> None:
        """Write the rows of a chunk, see them onto the disk, and only then enter them in the manifest."""
        assert self._layout is not None
        with explained_store(self, "written"):
            for name, values in columns.items():
                self._arrays[name][rows] = values
            names = self._layout.chunk_files(chunk)
            self._folder.flush(names)
            sums = {name: self._checked.sums[name]._asdict() for name in names}
            entry = {"chunk": chunk, "rows": [rows.start, rows.stop], "files": sums, **note}
            self._folder.write(entry_name(chunk), json.dumps(entry).encode())


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


def _create(group: Any, name: str, column: Any, plan: Plan) -> Any:
    shape, dtype, dims, attributes = column
    plainly = {"compressors": None, "dimension_names": dims, "attributes": attributes}  # numbers hardly shrink
    if dims[:1] != ("schedules",):  # values along a further axis: known now, and small
        values = np.asarray(shape, dtype)
        return group.create_array(name, data=values, chunks=values.shape, **plainly)
    return group.create_array(
        name,
        shape=shape,
        chunks=(plan.chunk, *shape[1:]),
        dtype=dtype,
        fill_value=-1 if np.issubdtype(dtype, np.integer) else np.nan,
        config={"write_empty_chunks": True},  # a chunk of which every row failed is a chunk all the same
        **plainly,
    )
