"""Archives: plain, gzip and zstd streams as bounded plain bytes.

Put here: what is inside the bytes before any format is known: decompression, its caps, nested archives.
Not here: lines and JSON (see `common.py`), paths (see `resources/session_source.py`).
"""

import gzip
import io
import zlib
from typing import Any, BinaryIO, Final

from signals_assets.core.readers.common import ContentError, Limits, buffered

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ARCHIVES: Final = (_GZIP, _ZSTD, b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf", b"Rar!")
_ZSTD_WINDOW: Final = 1 << 27
HEAD_BYTES: Final = 256 * 1024


class _Counted(io.RawIOBase):
    """Bytes that were looked at already, then the rest of the stream; counts what it passes on."""

    def __init__(self, stream: BinaryIO | io.RawIOBase, first: bytes) -> None:
        self._stream, self._first, self.count = stream, first, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._first[: len(buffer)] or self._stream.read(len(buffer)) or b""
        self._first = self._first[len(buffer) :]
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


class _Bounded(io.RawIOBase):
    """The plain side: raises ContentError when more comes out than the caps allow, or when the archive is broken."""

    def __init__(self, stream: Any, source: _Counted, limits: Limits) -> None:
        self._stream, self._source, self._limits, self._out = stream, source, limits, 0
        self._reason: str | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._reason is None:
            data = self._read(len(buffer))
            self._out += len(data)
            over_ratio = self._out > max(self._limits.ratio_free_bytes, self._limits.ratio * self._source.count)
            if self._out > self._limits.stream_bytes or over_ratio:
                self._reason = "decompression_bomb"
        if self._reason is not None:
            raise ContentError(self._reason)
        buffer[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        try:
            # read1 hands out what stands before a broken place; read would lose it.
            return bytes(self._stream.read1(size))
        except EOFError:
            self._reason = "truncated_archive"
        except (OSError, zlib.error):
            self._reason = "bad_archive"
        except Exception as error:
            # zstandard has one error class of its own, which exists only where the package is imported.
            if type(error).__name__ != "ZstdError":
                raise
            self._reason = "bad_archive"
        return b""


def opened(stream: BinaryIO, limits: Limits) -> tuple[io.BufferedReader, bytes]:
    """A bounded plain reader over a plain, gzip or zstd stream, and its first bytes (which it still holds).

    Raises ContentError while reading: truncated_archive, bad_archive, decompression_bomb; and at once
    nested_archive or unknown_archive.
    """
    first = stream.read(8) or b""
    source = _Counted(stream, first)
    plain: io.RawIOBase = source
    if first.startswith(_GZIP):
        # Python's gzip reader goes on over concatenated members, which log rotation produces.
        plain = _Bounded(gzip.GzipFile(fileobj=io.BufferedReader(source, 1 << 16)), source, limits)
    elif first.startswith(_ZSTD):
        plain = _Bounded(_zstd(source), source, limits)
    elif first.startswith(_ARCHIVES):
        raise ContentError("unknown_archive")
    head = _head(plain)
    if head.startswith(_ARCHIVES):
        raise ContentError("nested_archive")
    return buffered(_Counted(plain, head)), head


def _head(plain: io.RawIOBase) -> bytes:
    head = b""
    while len(head) < HEAD_BYTES:
        try:
            data = plain.read(HEAD_BYTES - len(head))
        except ContentError:
            if head:
                break  # the next read raises it again, after what came before the broken place
            raise
        if not data:
            break
        head += data
    return head


def _zstd(source: Any) -> Any:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return decompressor.stream_reader(source, read_across_frames=True)
