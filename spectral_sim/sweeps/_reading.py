"""Stores, read: which chunks count, and the table."""

import os
import warnings
from typing import Any

from .._extras import require
from ._errors import StoreError, explained_store
from ._folder import Folder, check_folder, open_folder
from ._layout import ROOT, Layout, is_leftover, read_layout
from ._manifest import MANIFEST, Sum, entry_name, read_entry, read_manifest, sum_of


def check_store_packages(address: str | os.PathLike[str]) -> None:
    """Raise ImportError unless what a store at an address needs is installed."""
    for module in ("xarray", "zarr"):
        require(module, "a store of a sweep")
    check_folder(address)


def open_table(address: str | os.PathLike[str]) -> Any:
    """The table in a store, finished or not, as an `xarray.Dataset` that reads what is looked at.

    Rows of chunks that are missing have status -1 and NaN elsewhere; the attribute `complete` is 0 if there are any.
    Whatever is read is held against the checksum that was stored with it. No code of the store is run.

    Arguments:
        address: folder or fsspec address, as for `sweep`.

    Raises:
        StoreError: no store there, or one that is damaged; also when a value is looked at whose file was changed.
        ImportError: xarray or zarr is not installed.

    Warns:
        UserWarning: a chunk was finished, but its entry is damaged or a file of it is gone; it counts as missing.
    """
    check_store_packages(address)
    folder = open_folder(address)
    manifest = read_manifest_of(folder)
    if manifest is None or "begun" in manifest:
        raise StoreError(f"{folder} holds no sweep: check the address.")
    xarray = require("xarray", "the table of a sweep")
    with explained_store(folder, "read"):
        layout = read_layout_of(folder, manifest)
        whole, sums = chunks_whole(folder, layout)
        store = checked_store(folder, {**manifest["files"], **sums})
        try:
            dataset = xarray.open_zarr(store, chunks=None, consolidated=True, zarr_format=3)
        except (StoreError, OSError):
            raise
        except Exception as error:  # zarr and xarray have many ways to say so
            raise StoreError(f"{folder} cannot be read by zarr ({error}): restore it, or delete it.") from error
    # the parameters are coordinates: what a row is, not what came of it
    parameters = [path for block in manifest["blocks"] for path in block["paths"]]
    dataset = dataset.set_coords(parameters)
    complete = int(len(whole) == layout.num_chunks)
    return dataset.assign_attrs(title=manifest["title"], complete=complete, chunks_done=len(whole))


def checked_store(folder: Folder, sums: dict[str, Any]) -> Any:
    """A folder as a store of zarr, whose files are checked as they are read."""
    from ._checked_store import CheckedStore  # needs zarr

    return CheckedStore(folder.zarr, sums, str(folder))


def read_manifest_of(folder: Folder) -> dict[str, Any] | None:
    """The manifest of a folder; None where there is none, and nothing else.

    Raises:
        StoreError: a manifest that cannot be read, or a folder of something else.
    """
    with explained_store(folder, "read"):
        data = folder.read(MANIFEST)
        if data is not None:
            return read_manifest(folder, data)
        foreign = sorted(name for name in folder.sizes() if not is_leftover(name, None))
    if foreign:
        raise StoreError(f"{folder} holds something that is no sweep ({foreign[0]}): give a new or an empty folder.")
    return None


def read_layout_of(folder: Folder, manifest: dict[str, Any]) -> Layout:
    """The layout of a store whose manifest was read; raises StoreError where it is damaged."""
    data = folder.read(ROOT)
    if data is None or sum_of(data) != manifest["files"].get(ROOT):
        what = "is missing" if data is None else "was changed"
        raise StoreError(f"{folder}/{ROOT} {what}: restore it, or delete the store.")
    return read_layout(folder, data, manifest)


def chunks_whole(folder: Folder, layout: Layout, thorough: bool = False) -> tuple[set[int], dict[str, Sum]]:
    """The chunks that count, and the checksums of their files.

    Arguments:
        folder: where the store lies.
        layout: which chunks and files there are.
        thorough: whether to read every file and check it; otherwise that is left to who reads it.
    """
    sizes = folder.sizes()
    whole: set[int] = set()
    sums: dict[str, Sum] = {}
    for chunk in range(layout.num_chunks):
        if entry_name(chunk) not in sizes:
            continue
        try:
            data = folder.read(entry_name(chunk)) or b""
            files = read_entry(folder, chunk, data, layout.rows_of(chunk), layout.chunk_files(chunk))
            gone = [name for name in files if name not in sizes]
            if gone:
                raise StoreError(f"{folder}/{gone[0]} is missing. Run the same sweep again to compute its chunk anew.")
        except StoreError as error:
            if not thorough:
                warnings.warn(f"chunk {chunk} counts as missing: {error}", stacklevel=3)
            continue
        if not thorough or all(sum_of(folder.read(name) or b"") == known for name, known in files.items()):
            whole.add(chunk)
            sums |= files
    return whole, sums
