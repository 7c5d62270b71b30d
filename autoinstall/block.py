"""Block devices below the filesystem: direct reads and writes, claims, and what the kernel knows of partitions.

Direct I/O (O_DIRECT) reads what the disk holds, not what the page cache remembers of what was written.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from autoinstall.errors import DeviceLost, Refused
from autoinstall.host import lost
from autoinstall.sizes import MIB, align_up

CHUNK_BYTES = MIB
SYS_BLOCK = Path("/sys/class/block")
MAPPED_PARTITION = re.compile(r"part(\d+)-")
"""How the UUID of a partition begins that lies on a mapped disk: kpartx(8)'s, which udev, blkid and blivet know."""

BLKPG, BLKPG_ADD_PARTITION, BLKPG_DEL_PARTITION = 0x1269, 1, 2
BLKPG_PARTITION = struct.Struct("qqi128x4x")
BLKPG_ARGUMENT = struct.Struct("iiiP")
"""From linux/blkpg.h: start, length and number (names are ignored); operation, flags, length and address."""


def write_direct(device: str, offset_bytes: int, data: bytes) -> None:
    """Write `data` (whole sectors) at an offset, past the page cache, and return when it is durable.

    Raises DeviceLost.
    """
    with _opened(device, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC, "writing") as fd:
        for start in range(0, len(data), CHUNK_BYTES):
            piece = data[start : start + CHUNK_BYTES]
            buffer = _aligned(len(piece))
            buffer.write(piece)
            _all(os.pwrite(fd, buffer, offset_bytes + start), len(piece), device)


def write_zeros(device: str, offset_bytes: int, size_bytes: int) -> None:
    """Make a range (whole sectors) zero. Raises DeviceLost."""
    write_direct(device, offset_bytes, bytes(size_bytes))


def read_direct(path: str | Path, offset_bytes: int, size_bytes: int) -> bytes:
    """Read a range (whole sectors) of a device from the disk itself. Raises DeviceLost."""
    with _opened(str(path), os.O_RDONLY | os.O_DIRECT, "reading") as fd:
        buffer = _aligned(size_bytes)
        _all(os.preadv(fd, [buffer], offset_bytes), size_bytes, str(path))
        return buffer[:]


def chunks_direct(path: str | Path) -> Iterator[memoryview]:
    """A file's content, chunk by chunk, from the disk itself. A view is valid until the next. Raises DeviceLost.

    The next chunk is read while the caller is at one: reading and hashing take about as long as each other.
    """
    with _opened(str(path), os.O_RDONLY | os.O_DIRECT, "reading back") as fd:
        ahead = _Ahead(fd)
        try:
            while len(view := ahead.take()):
                yield view
        finally:
            ahead.end()


def write_file_direct(path: Path, pieces: Iterable[memoryview]) -> None:
    """Write a new file past the page cache, and return when it is durable.

    Every piece begins at the start of page-aligned memory, and all but the last are whole pages. Raises OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC, 0o644)
    try:
        size = 0
        for piece in pieces:
            pages = align_up(len(piece), mmap.PAGESIZE)
            _all(os.pwrite(fd, memoryview(piece.obj)[:pages], size), pages, str(path))
            size += len(piece)
        os.ftruncate(fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def claim(device: str) -> int:
    """A descriptor that keeps a disk ours until it is closed. Nobody else had it open for itself before.

    It is not opened O_EXCL to stay: the kernel would then refuse the disk's partitions to mkfs and LVM. Its lock
    is systemd's protocol for block devices (systemd.io/BLOCK_DEVICE_LOCKING): while it is held, udev neither
    probes the disk nor has its partition table read again. Without it udev answers each close after a write with
    BLKRRPART, and the kernel, which sees no protective MBR yet, forgets the partitions half-way
    (tests/vm/test_install.py). A mapped disk is always held by its own partitions: none of them is to be in use.
    Raises Refused where somebody else uses it.
    """
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        for whole in _mapped_partitions(device) or [device]:
            os.close(os.open(whole, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        held = f" (held by {', '.join(holders(device))})" if holders(device) else ""
        reason = f"{device} cannot be opened for us alone: {error.strerror}{held}"
        raise Refused(reason, hint="free the disk") from error
    return fd


def is_free(device: str) -> bool:
    """Whether nobody has a device for himself: it is not mounted, and nothing is stacked on it. Raises OSError."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def holders(disk: str) -> list[str]:
    """What is stacked on a disk or its partitions, by the kernel's names; a mapped device with its own too."""
    own = _mapped_partitions(disk)
    places = [SYS_BLOCK / Path(device).name for device in (disk, *own)]
    found = {path.name for place in places for path in place.glob("**/holders/*")}
    names = sorted(name for name in found if f"/dev/{name}" not in own)
    mapped = {name: SYS_BLOCK / name / "dm/name" for name in names}
    return [f"{name} {path.read_text().strip()}" if path.exists() else name for name, path in mapped.items()]


def flush(device: str) -> None:
    """Wait until all that was written to a device is durable. Raises DeviceLost."""
    with _opened(device, os.O_RDONLY, "flushing") as fd:
        os.fsync(fd)


def is_block_device(path: str) -> bool:
    """Whether `path` is a block device now."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def is_mapped(disk: str) -> bool:
    """Whether a disk is one of device-mapper: its partitions are too, and BLKPG knows nothing of them."""
    return (SYS_BLOCK / Path(os.path.realpath(disk)).name / "dm").exists()


def mapped_name(device: str) -> tuple[str, str]:
    """Name and UUID of a mapped device. Raises DeviceLost."""
    place = SYS_BLOCK / Path(os.path.realpath(device)).name / "dm"
    try:
        return (place / "name").read_text().strip(), (place / "uuid").read_text().strip()
    except OSError as error:
        raise lost(device, "asking for its name", error) from error


def partition_numbers(disk: str) -> list[int]:
    """The numbers of the partitions that the kernel knows on a disk."""
    return sorted(_partitions(disk))


def partition_path(disk: str, number: int) -> str:
    """The device node of a partition, as the kernel calls it. Raises DeviceLost."""
    name = _partitions(disk).get(number)
    if name is None:
        raise DeviceLost(f"{disk}: its partition {number} is gone", hint="look at the disk and its cable")
    return f"/dev/{name}"


def partition_places(disk: str) -> list[tuple[int, int, int]]:
    """The partitions that the kernel knows on a disk: number, start and size in bytes."""
    places = {number: SYS_BLOCK / name for number, name in sorted(_partitions(disk).items())}
    start, size = ({n: int((at / what).read_text()) * 512 for n, at in places.items()} for what in ("start", "size"))
    return [(number, start[number], size[number]) for number in places]


def add_partition(disk: str, where: tuple[int, int, int]) -> None:
    """Tell the kernel of a partition: number, start and size in bytes. Raises DeviceLost."""
    _blkpg(disk, BLKPG_ADD_PARTITION, where)


def forget_partitions(disk: str) -> None:
    """Tell the kernel that a disk has no partitions. Raises DeviceLost, also where one is in use."""
    for number in partition_numbers(disk):
        _blkpg(disk, BLKPG_DEL_PARTITION, (number, 0, 0))


def size_bytes(disk: str) -> int:
    """The size of a disk now; 0 where it is gone."""
    try:
        return int((SYS_BLOCK / Path(disk).name / "size").read_text()) * 512
    except OSError:
        return 0


class _Ahead:
    """A thread that reads the next chunk of a file into one buffer while the other is in use."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._free: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        self._read: SimpleQueue[tuple[mmap.mmap, int | OSError]] = SimpleQueue()
        self._taken: mmap.mmap | None = None
        for _ in range(2):
            self._free.put(_aligned(CHUNK_BYTES))
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> memoryview:
        """The next chunk, empty behind the last; the one taken before is used again. Raises OSError."""
        if self._taken:
            self._free.put(self._taken)
        self._taken, count = self._read.get()
        if isinstance(count, OSError):
            raise count
        return memoryview(self._taken)[:count]

    def end(self) -> None:
        """No more is wanted: nothing reads from the file any more."""
        self._free.put(None)
        self._thread.join()

    def _run(self) -> None:
        count: int | OSError = 1
        while count and not isinstance(count, OSError) and (buffer := self._free.get()):
            try:
                count = os.readv(self._fd, [buffer])
            except OSError as error:
                count = error
            self._read.put((buffer, count))


def _blkpg(disk: str, operation: int, where: tuple[int, int, int]) -> None:
    number, start, size = where
    partition = ctypes.create_string_buffer(BLKPG_PARTITION.pack(start, size, number))
    argument = BLKPG_ARGUMENT.pack(operation, 0, len(partition), ctypes.addressof(partition))
    with _opened(disk, os.O_RDONLY, f"telling the kernel of partition {number}") as fd:
        fcntl.ioctl(fd, BLKPG, argument)


def _partitions(disk: str) -> dict[int, str]:
    below = SYS_BLOCK / Path(os.path.realpath(disk)).name
    if not is_mapped(disk):
        return {int(path.read_text()): path.parent.name for path in below.glob("*/partition")}
    uuids = {holder.name: SYS_BLOCK / holder.name / "dm/uuid" for holder in below.glob("holders/*")}
    matches = {name: MAPPED_PARTITION.match(path.read_text()) for name, path in uuids.items() if path.exists()}
    return {int(match[1]): name for name, match in matches.items() if match}


def _mapped_partitions(disk: str) -> list[str]:
    """The device nodes of the partitions on a mapped disk; none on others."""
    return [f"/dev/{name}" for name in _partitions(disk).values()] if is_mapped(disk) else []


def _aligned(size: int) -> mmap.mmap:
    """A buffer that direct I/O accepts: anonymous memory maps begin at a page."""
    return mmap.mmap(-1, size)


@contextmanager
def _opened(device: str, flags: int, doing: str) -> Iterator[int]:
    try:
        fd = os.open(device, flags | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)
    except OSError as error:
        raise lost(device, doing, error) from error


def _all(done: int, wanted: int, device: str) -> None:
    if done != wanted:
        raise OSError(5, f"only {done} of {wanted} bytes", device)
