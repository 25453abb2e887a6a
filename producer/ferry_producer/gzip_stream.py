"""Bytes compressed with gzip → plain bytes, in pieces of bounded size."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from ferry_producer.lines import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

#: RFC 1952, 2.3.1. No text begins like this: 8B is no UTF-8 there.
MAGIC = b"\x1f\x8b"
#: The largest window, and a gzip header (zlib manual, inflateInit2).
_GZIP_WINDOW_BITS = 31


class DamagedGzip(ValueError):
    """It began like gzip, and is damaged or cut off."""


class GzipStream:
    """Takes input as it comes; several compressed files in a row are one, as for gunzip (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._between_members = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what `chunk` contains, at most 64 KiB at once however small it was packed.

        Raises:
            DamagedGzip: it is damaged.
        """
        while chunk := self._without_padding(chunk):
            self._between_members = False
            yield from self._pieces(chunk)
            chunk = self._member.unused_data
            if self._member.eof:
                self._between_members = True
                self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)

    def end(self) -> None:
        """The input is over.

        Raises:
            DamagedGzip: in the middle of a compressed file.
        """
        if not self._between_members:
            raise DamagedGzip("the end of the gzip data is missing")

    def _without_padding(self, chunk: bytes) -> bytes:
        # Zeros after the end are no other file; gunzip ignores them too.
        return chunk.lstrip(b"\0") if self._between_members else chunk

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        full = True
        # At the end of a member CPython keeps in `unconsumed_tail` what is in `unused_data` as well.
        while not self._member.eof and (full or chunk):
            try:
                plain = self._member.decompress(chunk, CHUNK_BYTES)
            except zlib.error as error:
                raise DamagedGzip(f"damaged gzip data: {error}") from error
            yield plain
            # Full: zlib may have taken all input and hold back output.
            full, chunk = len(plain) == CHUNK_BYTES, self._member.unconsumed_tail
