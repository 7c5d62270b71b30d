"""The hash tree of the root, and the table that goes into the initramfs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autoinstall.errors import BuildFailed
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.image.verity import BLOCK_BYTES, TABLE_NAME, add_hash_tree, add_table, archive

ROOT = Path(__file__).resolve().parents[2]
MOUNT_NODE = ROOT / "dracut/55autoinstall/mount-node.sh"
HASHES_IN_A_BLOCK = 128
pytestmark = pytest.mark.runs_programs


class Silent(Host):
    """A veritysetup that says nothing."""

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        return Completed(0, "", "")


def image(place: Path, size_bytes: int) -> Path:
    """A file of that size, no two blocks of which are alike."""
    path = place / "root.squashfs"
    blocks = range(-(-size_bytes // BLOCK_BYTES))
    path.write_bytes(b"".join(number.to_bytes(4, "big") * (BLOCK_BYTES // 4) for number in blocks)[:size_bytes])
    return path


@pytest.mark.parametrize("size_bytes", [2 * BLOCK_BYTES, 3 * BLOCK_BYTES + 1, (HASHES_IN_A_BLOCK + 1) * BLOCK_BYTES])
def test_the_table_says_what_veritysetup_verifies(tmp_path: Path, size_bytes: int) -> None:
    path = image(tmp_path, size_bytes)
    before = path.read_bytes()
    start, sectors, kind, version, *devices, data, hashes, blocks, tree, name, digest, salt = add_hash_tree(
        path, Host()
    ).split()
    assert (start, kind, version, devices, name, salt) == ("0", "verity", "1", ["@DEVICE@"] * 2, "sha256", "-")
    assert data == hashes == str(BLOCK_BYTES)
    assert int(sectors) * 512 == int(blocks) * BLOCK_BYTES == int(tree) * BLOCK_BYTES
    assert int(blocks) == -(-size_bytes // BLOCK_BYTES)
    after = path.read_bytes()
    assert after.startswith(before) and len(after) % BLOCK_BYTES == 0 and len(after) > int(blocks) * BLOCK_BYTES
    assert verified(path, int(blocks), digest)


def test_one_bit_of_data_or_tree_is_seen(tmp_path: Path) -> None:
    path = image(tmp_path, 200 * BLOCK_BYTES)
    *_, digest, _ = add_hash_tree(path, Host()).split()
    content = path.read_bytes()
    for place in (0, 199 * BLOCK_BYTES + 7, 200 * BLOCK_BYTES, 201 * BLOCK_BYTES):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not verified(path, 200, digest), place


def test_equal_images_get_equal_trees(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = (image(tmp_path / name, 300 * BLOCK_BYTES) for name in ("one", "two"))
    assert add_hash_tree(one, Host()) == add_hash_tree(two, Host())
    assert one.read_bytes() == two.read_bytes()


def test_a_tool_that_tells_no_hash_fails_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="no root hash"):
        add_hash_tree(image(tmp_path, BLOCK_BYTES), Silent())


@pytest.mark.parametrize("size_bytes", range(4))
def test_the_archive_behind_an_initramfs_is_aligned_and_unpacks(tmp_path: Path, size_bytes: int) -> None:
    initramfs = tmp_path / "initrd.img"
    initramfs.write_bytes(bytes(size_bytes))
    add_table(initramfs, "0 8 verity")
    content = initramfs.read_bytes()
    start = content.index(b"070701")
    assert start % 4 == 0 and not any(content[:start])
    words = ["cpio", "--extract", "--quiet", "--to-stdout", TABLE_NAME]
    assert subprocess.run(words, input=content[start:], capture_output=True).stdout == b"0 8 verity\n"
    listing = subprocess.run(["cpio", "-tv", "--quiet"], input=content[start:], capture_output=True).stdout
    assert listing.startswith(b"-rw-r--r--   1 root     root           11 Jan  1  1970 etc/autoinstall.verity")


def test_equal_tables_make_equal_archives() -> None:
    assert archive("a", b"b") == archive("a", b"b") != archive("a", b"c")


def test_the_hook_reads_what_the_build_writes() -> None:
    """Name and placeholder stand in both, and a boot that is not judged yet panics."""
    hook = MOUNT_NODE.read_text()
    assert f's,@DEVICE@,$_loop,g" /{TABLE_NAME} >' in hook
    assert '1 panic_on_corruption"' in hook


def verified(path: Path, blocks: int, digest: str) -> bool:
    """What veritysetup finds, told nothing but this."""
    words = ["veritysetup", "verify", "--no-superblock", "--salt=-", f"--data-blocks={blocks}"]
    offset = f"--hash-offset={blocks * BLOCK_BYTES}"
    return subprocess.run([*words, offset, path, path, digest], capture_output=True).returncode == 0
