"""A store of zarr whose files are checked when they are read; imported by what needs zarr."""

from collections.abc import Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

from ._errors import StoreError
from ._manifest import Sum, sum_of


class CheckedStore(WrapperStore):
    """Serves the files whose checksums are known, and no others; knows those of what it writes.

    Arguments:
        store: where the files lie.
        sums: their checksums, by name. What is written is added.
        place: how to call the store in messages.
    """

    def __init__(self, store: Any, sums: dict[str, Sum] | None = None, place: str = ""):
        super().__init__(store)
        self.sums: dict[str, Sum] = {} if sums is None else sums
        self.place = place

    def _with_store(self, store: Any) -> "CheckedStore":
        return type(self)(store, self.sums, self.place)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        known = self.sums.get(key)
        if known is None:  # of no chunk that counts
            return None
        buffer = await self._store.get(key, prototype)
        found = None if buffer is None else sum_of(buffer.to_bytes())
        if buffer is None or found is None:
            raise self._bad(key, "is missing")
        if found != known:
            raise self._bad(key, f"was changed after it was written ({found.bytes} of {known.bytes} bytes)")
        return buffer if byte_range is None else _part(buffer, byte_range)

    def _bad(self, key: str, what: str) -> StoreError:
        return StoreError(f"{self.place}/{key} {what}. Run the same sweep again to compute its chunk anew.")

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, span) for key, span in key_ranges]

    async def set(self, key: str, value: Buffer) -> None:
        await self._store.set(key, value)
        self.sums[key] = sum_of(value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if key not in self.sums:  # a file that nobody knows is no file here
            await self.set(key, value)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        for key, value in values:
            await self.set(key, value)


def _part(buffer: Buffer, span: ByteRequest) -> Buffer:
    if isinstance(span, RangeByteRequest):
        return buffer[span.start : span.end]
    if isinstance(span, OffsetByteRequest):
        return buffer[span.offset :]
    assert isinstance(span, SuffixByteRequest)
    return buffer[max(0, len(buffer) - span.suffix) :]
