"""A disk looked at from outside, after power-off: no root, no mounting, no help of the host's kernel.

ext file systems are read with debugfs and FAT with mtools, both straight at an offset of the disk image.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tests.vm.gpt import Partition, Table, read_table

CHUNK_BYTES = 1 << 20
BLOCK_BYTES = 4096


class DiskImage:
    """A raw disk image. The table is read once: make a new one after the machine ran again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def table(self) -> Table:
        """Raises gpt.NoTable."""
        return read_table(self.path)

    @property
    def size_bytes(self) -> int:
        """Of the whole disk."""
        return self.path.stat().st_size

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the disk."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(count)

    @property
    def sector_zero(self) -> bytes:
        """What a BIOS reads first."""
        return self.read(0, 512)

    def probe(self, label: str) -> dict[str, str]:
        """What blkid finds on a partition: TYPE, LABEL, UUID, …; empty for nothing."""
        partition = self.table[label]
        words = [
            "blkid",
            "-p",
            "-o",
            "export",
            "-O",
            str(partition.start_bytes),
            "-S",
            str(partition.size_bytes),
        ]
        done = subprocess.run([*words, self.path], capture_output=True, text=True)
        assert done.returncode in (0, 2), done.stderr
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    # FAT

    def esp_file(self, name: str) -> bytes:
        """A file of the EFI system partition, such as `grub/grub.cfg`."""
        return _output("mtype", "-i", self._at("EFI", "@@"), f"::{name}")

    def esp_names(self) -> set[str]:
        """Every file of the EFI system partition."""
        listing = _output("mdir", "-/", "-b", "-i", self._at("EFI", "@@"), "::").decode()
        return {line.removeprefix("::/") for line in listing.splitlines() if not line.endswith("/")}

    def put_esp_file(self, name: str, content: bytes) -> None:
        """Overwrite a file of the EFI system partition."""
        words = ["mcopy", "-o", "-i", self._at("EFI", "@@"), "-", f"::{name}"]
        subprocess.run(words, input=content, check=True)

    def remove_esp_file(self, name: str) -> None:
        """Take a file out of the EFI system partition, if it is there."""
        if name in self.esp_names():
            _output("mdel", "-i", self._at("EFI", "@@"), f"::{name}")

    # ext4

    def ext_file(self, label: str, name: str) -> bytes:
        """A file of an ext4 partition."""
        return self._debugfs(label, f"cat {name}")

    def ext_names(self, label: str, directory: str = "/") -> dict[str, tuple[int, int, int]]:
        """Names in a directory of an ext4 partition, each with mode, uid and gid."""
        found = {}
        for line in self._debugfs(label, f"ls -p {directory}").decode().splitlines():
            if match := re.fullmatch(r"/(\d+)/(\d+)/(\d+)/(\d+)/(.+)/(\d*)/", line):
                _, mode, uid, gid, name, _ = match.groups()
                found[name] = int(mode, 8), int(uid), int(gid)
        found.pop(".", None)
        found.pop("..", None)
        return found

    def ext_sha256(self, label: str, name: str) -> str:
        """The hash of a file of an ext4 partition."""
        words = ["debugfs", "-R", f"cat {name}", self._at(label, "?offset=")]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout
            digest = hashlib.file_digest(process.stdout, "sha256")  # type: ignore[arg-type]
        assert process.returncode == 0
        return digest.hexdigest()

    def put_ext_file(self, label: str, name: str, content: Path) -> None:
        """Write a new file into an ext4 partition."""
        subprocess.run(
            ["debugfs", "-w", "-f", "-", self._at(label, "?offset=")],
            input=f"rm {name}\nwrite {content} {name}\n".encode(),
            check=True,
            capture_output=True,
        )

    def remove_ext_file(self, label: str, name: str) -> None:
        """Take a file out of an ext4 partition."""
        subprocess.run(
            ["debugfs", "-w", "-R", f"rm {name}", self._at(label, "?offset=")], check=True, capture_output=True
        )

    def ext_offset(self, label: str, name: str, offset: int) -> int:
        """Where on the disk a byte of a file of an ext4 partition is."""
        block_bytes = int(self.ext_superblock(label)["Block size"])
        block = int(self._debugfs(label, f"bmap {name} {offset // block_bytes}"))
        assert block, f"{name} has a hole at {offset}"
        return self.table[label].start_bytes + block * block_bytes + offset % block_bytes

    def flip_bit(self, offset: int) -> None:
        """What rot does."""
        with self.path.open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1]))

    def ext_superblock(self, label: str) -> dict[str, str]:
        """What dumpe2fs -h says, by name."""
        text = _output("dumpe2fs", "-h", self._at(label, "?offset=")).decode()
        pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
        return {name.strip(): value.strip() for name, value in pairs}

    def ext_problems(self, label: str) -> str:
        """What e2fsck finds wrong, without mending; empty for a sound file system."""
        words = ["e2fsck", "-f", "-n", self._at(label, "?offset=")]
        done = subprocess.run(words, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    # LVM

    def lvm_text(self, label: str = "HostVG") -> str:
        """The newest metadata text in the area at the head of a physical volume."""
        head = self.read(self.table[label].start_bytes, CHUNK_BYTES).decode("latin-1")
        copies = re.findall(r"(?:^|\0|\n)(\w+ \{\nid = .*?\n# Generated by LVM2.*?)\0", head, re.DOTALL)
        assert copies, f"no LVM metadata on {label}"
        return str(max(copies, key=_sequence))

    def lvm_volumes(self, label: str = "HostVG") -> dict[str, int]:
        """Bytes of every logical volume by name."""
        text = self.lvm_text(label)
        extent = 512 * int(_first(r"extent_size = (\d+)", text))
        blocks = re.findall(r"\n(\w+) \{\nid = [^}]*?segment_count = \d+\n(.*?)\n\}\n\}", text, re.DOTALL)
        return {name: extent * sum(map(int, re.findall(r"extent_count = (\d+)", body))) for name, body in blocks}

    # The whole

    def digest(self, *but: str) -> str:
        """A hash of every byte that is not in these partitions; holes count as zeros, and cost nothing."""
        digest = hashlib.sha256(str(self.size_bytes).encode())
        spans = [partition_bytes(self.table[label]) for label in but]
        for offset, block in self._blocks():
            left_out = any(start <= offset < end for start, end in spans)
            if not left_out and block.count(0) != len(block):
                digest.update(offset.to_bytes(8, "big") + block)
        return digest.hexdigest()

    def is_blank(self) -> bool:
        """Not one byte was ever written."""
        return all(block.count(0) == len(block) for _, block in self._blocks())

    def copy(self, to: Path) -> DiskImage:
        """A copy that takes no more room than its content."""
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", self.path, to], check=True)
        return DiskImage(to)

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb", buffering=0) as file:
            offset = 0
            while True:
                try:
                    offset = os.lseek(file.fileno(), offset, os.SEEK_DATA) // BLOCK_BYTES * BLOCK_BYTES
                except OSError:  # ENXIO: no more data
                    return
                end = os.lseek(file.fileno(), offset, os.SEEK_HOLE)
                while offset < end:
                    block = os.pread(file.fileno(), BLOCK_BYTES, offset)
                    yield offset, block
                    offset += BLOCK_BYTES

    def _at(self, label: str, joint: str) -> str:
        return f"{self.path}{joint}{self.table[label].start_bytes}"

    def _debugfs(self, label: str, request: str) -> bytes:
        words = ["debugfs", "-R", request, self._at(label, "?offset=")]
        done = subprocess.run(words, capture_output=True)
        said = done.stderr.decode(errors="replace").split("\n", 1)[1]  # the first line is its version
        assert done.returncode == 0, said
        assert "File not found" not in said, f"{label}: {request}: {said.strip()}"
        return done.stdout


def partition_bytes(partition: Partition) -> tuple[int, int]:
    """First byte, and the first behind it."""
    return partition.start_bytes, partition.start_bytes + partition.size_bytes


def _output(*words: str) -> bytes:
    done = subprocess.run(words, capture_output=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()}"
    return done.stdout


def _sequence(text: str) -> int:
    return int(_first(r"seqno = (\d+)", text))


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, f"no {pattern} in the LVM metadata"
    return match.group(1)
