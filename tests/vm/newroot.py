"""An image with another root, in seconds: some of its files say something else, and its hash tree is its own.

The root goes through a pseudo file of squashfs-tools, which has every owner, mode and byte, and needs no root.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from autoinstall.host import Host
from autoinstall.image.layers import SQUASHFS_OPTIONS
from autoinstall.image.manifest import MANIFEST_NAME, parse_manifest
from autoinstall.image.verity import add_hash_tree, add_table
from autoinstall.live import ROOT_IMAGE
from tests.vm.image import Image
from tests.vm.newer import derived, describe

DATA = b"#\n# START OF DATA - DO NOT MODIFY\n#\n"


def with_another_root(image: Image, place: Path, version: str, files: Mapping[str, bytes]) -> Image:
    """An image of another version, in whose root these files, which are there, have this content."""
    new = derived(image, place, version)
    root, pseudo = place / ROOT_IMAGE, place / "root.pseudo"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-pf", pseudo, root], check=True)
    pseudo.write_bytes(changed(pseudo.read_bytes(), files))
    root.unlink()  # a link to that of the other image
    subprocess.run(["mksquashfs", "-", root, "-pf", pseudo, *SQUASHFS_OPTIONS], check=True)
    pseudo.unlink()
    add_table(new.initrd, add_hash_tree(root, Host()))
    describe(place, version, parse_manifest((image.place / MANIFEST_NAME).read_bytes()))
    return Image(place)


def changed(pseudo: bytes, files: Mapping[str, bytes]) -> bytes:
    """A pseudo file with another content of files: NAME R TIME MODE UID GID SIZE OFFSET (mksquashfs -help)."""
    table, mark, data = pseudo.partition(DATA)
    assert mark
    for name, content in files.items():
        line = rb"(?m)^(%s R \d+ \d+ \d+ \d+) \d+ \d+$" % re.escape(name.encode())
        table, count = re.subn(line, rb"\1 %d %d" % (len(content), len(data)), table)
        assert count == 1, f"{name} is no file of the root"
        data += content
    return table + mark + data
