"""The second layer: a base tree becomes the root of an image. Runs as root of some namespace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import BuildFailed
from autoinstall.host import USUAL, Host, Run
from autoinstall.image.recipe import LAST_ALLOTTED_ID, Recipe, Trim

IN_TREE = """
root=$1
shift
for kernel in dev proc sys; do mount --rbind "/$kernel" "$root/$kernel" || exit; done
exec chroot "$root" "$@"
"""
ADMIN_ID = 1000


@dataclass(frozen=True)
class Tree:
    """A root file system that is being made, at `root`."""

    root: Path
    host: Host

    def unpack(self, archive: Path) -> None:
        """Fills the tree from a tar file, without the devices in it."""
        self.host.run(
            "tar", "--extract", "--file", archive, "--directory", self.root, "--numeric-owner", "--xattrs",
            "--exclude=./dev/*",
            doing="unpacking a tree",
        )  # fmt: skip

    def run(self, *argv: str, doing: str, how: Run = USUAL) -> str:
        """What a program of the tree says, run with the tree as its root.

        It sees /dev, /proc and /sys of the build host, mounted in a namespace of its own: they go with it, and
        no clean-up of a tree can ever reach them.
        """
        inside = ("unshare", "--mount", "--propagation", "private", "sh", "-c", IN_TREE, "sh", self.root)
        return self.host.run(*inside, *argv, doing=doing, how=how).stdout

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """A regular file of root's, with exactly this mode; whatever was there is replaced."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        place.chmod(mode)

    def copy(self, source: Path, path: str) -> None:
        """A file or a whole directory, with what is executable in it; no caches of Python's."""
        if not source.is_dir():
            self.write(path, source.read_bytes(), 0o755 if source.stat().st_mode & 0o100 else 0o644)
            return
        for file in sorted(source.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                self.copy(file, f"{path}/{file.relative_to(source)}")

    def link(self, path: str, target: str) -> None:
        """A symbolic link, in the place of whatever was there."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def kernel_version(self) -> str:
        """The version of the one kernel in the tree. Raises BuildFailed if there are none or several."""
        versions = [place.name for place in sorted((self.root / "usr/lib/modules").glob("*"))]
        if len(versions) != 1:
            raise BuildFailed(f"the image must have one kernel, and has {len(versions)}: {', '.join(versions)}")
        return versions[0]


def trim(root: Path, rules: Trim) -> None:
    """Removes what the globs `rules.drop` match, but for what `rules.keep` does, and directories that hold it."""
    kept = {path for pattern in rules.keep for path in root.glob(pattern)}
    guarded = kept | {parent for path in kept for parent in path.parents}
    for pattern in rules.drop:
        for found in sorted(root.glob(pattern)):
            _remove(found, guarded, kept)


def _remove(path: Path, guarded: set[Path], kept: set[Path]) -> None:
    if path in kept:
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    elif path in guarded:
        for child in path.iterdir():
            _remove(child, guarded, kept)
    else:
        shutil.rmtree(path)


def audit(root: Path, recipe: Recipe) -> None:
    """Raises BuildFailed, naming each, if the tree holds what no image may hold."""
    problems = [*_identities(root), *_passwords(root), *_accounts(root, recipe)]
    if problems:
        raise BuildFailed(*(f"the image may not hold {problem}" for problem in problems))


def _identities(root: Path) -> Iterator[str]:
    machine_id = root / "etc/machine-id"
    if not machine_id.is_file() or machine_id.stat().st_size:
        yield "a machine-id: /etc/machine-id must be there and be empty"
    for key in sorted(root.glob("etc/ssh/ssh_host_*")):
        yield f"an ssh host key: /{key.relative_to(root)}"
    for path in ("var/lib/systemd/random-seed", "etc/hostname", "var/lib/dbus/machine-id"):
        if (root / path).is_file() and not (root / path).is_symlink():
            yield f"the identity of one machine: /{path}"


def _passwords(root: Path) -> Iterator[str]:
    for line in (root / "etc/shadow").read_text().splitlines():
        name, hashed = line.split(":")[:2]
        if not hashed.startswith(("!", "*")):
            yield f"a password, or an account without one: {name}"


def _accounts(root: Path, recipe: Recipe) -> Iterator[str]:
    users = {user.name: int(user.uid) for user in recipe.users}
    groups = {**{user.name: int(user.gid) for user in recipe.users}, **recipe.groups, "admin": ADMIN_ID}
    for kind, listed in (("user", {**users, "admin": ADMIN_ID}), ("group", groups)):
        for name, number in _numbers(root / "etc" / {"user": "passwd", "group": "group"}[kind]):
            fixed = number <= LAST_ALLOTTED_ID or number >= 65534
            if not fixed and listed.get(name) != number:
                yield f"a system {kind} that the recipe does not list: {name} = {number}"


def _numbers(file: Path) -> Iterator[tuple[str, int]]:
    for line in file.read_text().splitlines():
        fields = line.split(":")
        yield fields[0], int(fields[2])
