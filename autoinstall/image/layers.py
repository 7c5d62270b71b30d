"""What is ours in an image: the initramfs, and the root as it goes into the squashfs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import BuildFailed
from autoinstall.host import Host, Run
from autoinstall.image.cache import Cache
from autoinstall.image.recipe import Recipe
from autoinstall.image.signature import KEYS
from autoinstall.image.tree import ADMIN_ID, Tree, audit, trim

SOURCE = Path(__file__).resolve().parents[2]
"""The checkout that this runs from: the image gets the package, the units and the dracut module of the same."""
PACKAGE = SOURCE / "autoinstall"
UNITS = SOURCE / "units"
MANAGER = UNITS / "system.conf.d"
"""What the first process goes by, in the initramfs too."""
DRACUT = SOURCE / "dracut"
FILES = PACKAGE / "image/files"
NODE_GRUB_CFG = PACKAGE / "image/grub/node.cfg"

DIST_PACKAGES = "usr/lib/python3/dist-packages"
DRACUT_MODULES = "usr/lib/dracut/modules.d"
BOOT_FILES = "usr/lib/autoinstall/boot"
SYSTEMD = "usr/lib/systemd"
UNIT_PLACES: Mapping[str, str] = {
    ".preset": f"{SYSTEMD}/system-preset",
    ".catalog": f"{SYSTEMD}/catalog",
    "system.conf.d": SYSTEMD,
    "journald.conf.d": SYSTEMD,
}
"""Where below units/ is not for systemd/system: by suffix, or by directory."""
EMPTY_DIRECTORIES = ("config", "data", "data2", "run", "tmp")
ADMIN_HOME = "home/admin"
IDENTITIES = ("etc/hostname", "etc/ssh/ssh_host_*", "var/lib/systemd/random-seed", "etc/*-")
PAM_ACCOUNT = "etc/pam.d/common-account"
LAUNCHER = f"""#!/usr/bin/python3 -IS
import sys

sys.path.append("/{DIST_PACKAGES}")
from autoinstall.__main__ import main

sys.exit(main())
"""
"""Without `site`, which would look for packages in places that an image does not have."""
DRACUT_OPTIONS = (
    "--force",
    "--no-hostonly",
    "--no-hostonly-cmdline",
    "--reproducible",
    "--zstd",
)
SQUASHFS_OPTIONS = "-noappend -comp zstd -Xcompression-level 9 -b 128K -no-progress -quiet".split()
"""Level 15 takes nine times the processor time of level 9, and saves a twentieth."""


@dataclass(frozen=True)
class Layers:
    """Where the parts of an image come from, and when it was made, as far as its files tell.

    `keys` is the keyring of whose images systems of this one take; empty where they take any.
    """

    recipe: Recipe
    base: Path
    boot_files: Path
    python: Path
    epoch_s: int
    host: Host
    keys: bytes = b""

    @property
    def reproducible(self) -> Run:
        """How programs run whose output may depend on the time."""
        return Run(environment={"SOURCE_DATE_EPOCH": str(self.epoch_s)})


def make_initramfs(layers: Layers, into: Path, cache: Cache) -> None:
    """Puts vmlinuz and initrd.img into `into`."""
    with cache.scratch() as scratch:
        tree = Tree(scratch, layers.host)
        tree.unpack(layers.base)
        version = tree.kernel_version()
        tree.copy(DRACUT, DRACUT_MODULES)
        tree.copy(MANAGER, f"{SYSTEMD}/{MANAGER.name}")
        asked = layers.recipe.initramfs
        tree.run(
            "dracut", *DRACUT_OPTIONS, "--modules", " ".join(("autoinstall", *asked.modules)),
            "--add-drivers", " ".join(asked.drivers), "--kver", version, "/initrd.img", version,
            doing="making the initramfs", how=layers.reproducible,
        )  # fmt: skip
        shutil.copyfile(scratch / "initrd.img", into / "initrd.img")
        shutil.copyfile(scratch / f"boot/vmlinuz-{version}", into / "vmlinuz")


def make_root(layers: Layers, into: Path, cache: Cache) -> str:
    """Puts root.squashfs into `into`, and returns the version of its kernel."""
    with cache.scratch() as scratch:
        tree = Tree(scratch, layers.host)
        tree.unpack(layers.base)
        version = tree.kernel_version()
        _add_ours(tree, layers)
        _configure(tree, layers.recipe)
        trim(tree.root, layers.recipe.trim)
        _finish(tree, version, ("autoinstall", *(pin.name for pin in layers.recipe.python)))
        audit(tree.root, layers.recipe)
        tree.host.run(
            "mksquashfs", tree.root, into / "root.squashfs", *SQUASHFS_OPTIONS,
            doing="making root.squashfs", how=layers.reproducible,
        )  # fmt: skip
    return version


def _add_ours(tree: Tree, layers: Layers) -> None:
    tree.copy(PACKAGE, f"{DIST_PACKAGES}/autoinstall")
    tree.copy(layers.python, DIST_PACKAGES)
    tree.copy(layers.boot_files / "node", BOOT_FILES)
    tree.write(f"{BOOT_FILES}/grub.cfg", node_menu(NODE_GRUB_CFG.read_text(), layers.recipe.kernel_words))
    tree.copy(FILES, ".")
    if layers.keys:
        tree.write(str(KEYS.relative_to("/")), layers.keys)
    tree.write("usr/bin/autoinstall", LAUNCHER, mode=0o755)
    for file in sorted(UNITS.rglob("*")):
        if file.is_file():
            name = file.relative_to(UNITS)
            place = UNIT_PLACES.get(file.suffix) or UNIT_PLACES.get(name.parts[0], f"{SYSTEMD}/system")
            tree.copy(file, f"{place}/{name}")


def _configure(tree: Tree, recipe: Recipe) -> None:
    for name in EMPTY_DIRECTORIES:
        (tree.root / name).mkdir(exist_ok=True)
    tree.run(
        "useradd", "--uid", str(ADMIN_ID), "--user-group", "--create-home", "--home-dir", f"/{ADMIN_HOME}",
        "--shell", "/bin/bash", "--groups", "sudo", "admin",
        doing="adding the account admin",
    )  # fmt: skip
    (tree.root / ADMIN_HOME).chmod(0o700)
    tree.write("etc/machine-id", "")
    for pattern in IDENTITIES:
        for path in tree.root.glob(pattern):
            path.unlink()
    account = tree.root / PAM_ACCOUNT
    tree.write(PAM_ACCOUNT, without_password_expiry(account.read_text()))
    tree.run("systemctl", "preset-all", doing="enabling units by their presets")
    for unit in recipe.masked_units:
        tree.link(f"etc/systemd/system/{unit}", "/dev/null")


def _finish(tree: Tree, kernel_version: str, packages: Sequence[str]) -> None:
    """What is made from the files that are there: indices, byte code, time stamps.

    Debian compiled its own modules; nobody will be able to write byte code of ours into the squashfs.
    """
    tree.run("depmod", kernel_version, doing="indexing the kernel's modules")
    tree.run(
        "python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
        *(f"/{DIST_PACKAGES}/{name}" for name in packages),
        doing="compiling our Python modules",
    )  # fmt: skip
    tree.run("journalctl", "--update-catalog", doing="indexing the journal's messages")
    for name in ("etc", "var"):
        tree.write(f"{name}/.updated", "")


def node_menu(template: str, kernel_words: Sequence[str]) -> str:
    """The grub.cfg of every node of this image."""
    return template.replace("@KERNEL_WORDS@", " ".join(kernel_words))


def without_password_expiry(pam: str) -> str:
    """The account phase that lets a key log in though the password must be changed: pam_unix(8).

    Raises BuildFailed if the text has no line of pam_unix.
    """
    changed, count = re.subn(r"(?m)^(account\s.*pam_unix\.so)[ \t]*$", r"\1 no_pass_expiry", pam)
    if count != 1:
        raise BuildFailed(f"/{PAM_ACCOUNT} has {count} plain lines of pam_unix, not one")
    return changed
