"""Debian: where its packages come from, and how they become trees. The seam for other distributions."""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoinstall.errors import CannotHere, MirrorUnreachable, ToolFailed
from autoinstall.host import Host, Run
from autoinstall.image.recipe import LAST_ALLOTTED_ID, Recipe

APT_HELPER = "/usr/lib/apt/apt-helper"
MIRROR_TIMEOUT_S = 20
FETCH_ERROR = re.compile(r"E: Failed to fetch \S+ +([^;]*)")
GRUB_PACKAGES = ("grub-common", "grub-pc-bin", "grub-efi-amd64-bin")
WANTED = "/usr/share/doc/*/copyright"
UNWANTED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
            "/usr/lib/udev/rules.d/*-scsi-sg3_*.rules")  # fmt: skip
"""The rules of sg3-utils, which multipath-tools depends on, give SCSI disks other names than udev's own."""
TARGETS_FORMAT = "$(LABEL)|$(SITE)|$(COMPONENT)"


class Distribution(Protocol):
    """What a build asks of a distribution. Every tree has Debian's paths for GRUB, dracut and the kernel."""

    def sources(self, recipe: Recipe, host: Host) -> tuple[str, ...]:
        """Where packages of the recipe's suite come from. Raises CannotHere, MirrorUnreachable."""

    def bootstrap(self, recipe: Recipe, sources: Sequence[str], archive: Path, host: Host) -> None:
        """Installs the recipe's packages, and writes the tree as a tar file."""

    def grub(self, recipe: Recipe, sources: Sequence[str], archive: Path, host: Host) -> None:
        """Writes a tar file of a tree that holds GRUB of the recipe's suite, and what its tools are linked to."""

    def packages(self, tree: Path) -> dict[str, str]:
        """The packages that are installed in a tree, and their versions."""


@dataclass(frozen=True)
class Debian:
    """Trees by mmdebstrap, from the archive that this machine's apt uses itself."""

    def sources(self, recipe: Recipe, host: Host) -> tuple[str, ...]:
        """Lines of sources.list: the suite, and its security updates where apt knows a mirror of those."""
        sites = self._sites(host)
        main = sites.get("Debian")
        if not main:
            raise CannotHere(
                "finding a Debian mirror: the apt of this machine knows no Debian archive",
                hint="run apt-get update, or add the archive to the sources of apt",
            )
        require_mirror(main, recipe.suite, host)
        components = " ".join(("main", *recipe.components))
        lines = [f"deb {main} {recipe.suite} {components}"]
        if security := sites.get("Debian-Security"):
            lines.append(f"deb {security} {recipe.suite}-security {components}")
        return tuple(lines)

    def bootstrap(self, recipe: Recipe, sources: Sequence[str], archive: Path, host: Host) -> None:
        hook = archive.with_name("seed-accounts")
        hook.write_text(seed_accounts(recipe))
        hook.chmod(0o755)
        packages = (recipe.kernel, *recipe.packages)
        self._mmdebstrap(
            ["--variant=essential", f"--include={','.join(packages)}", f"--essential-hook={hook}"],
            (recipe.suite, archive, sources),
            host,
        )
        hook.unlink()

    def grub(self, recipe: Recipe, sources: Sequence[str], archive: Path, host: Host) -> None:
        options = ["--variant=extract", f"--include={','.join(GRUB_PACKAGES)}"]
        self._mmdebstrap(options, (recipe.suite, archive, sources), host)

    def packages(self, tree: Path) -> dict[str, str]:
        return parse_status((tree / "var/lib/dpkg/status").read_text())

    def _sites(self, host: Host) -> dict[str, str]:
        listed = host.run(
            "apt-get", "indextargets", "--format", TARGETS_FORMAT, "Created-By: Packages",
            doing="asking apt for its mirrors",
        )  # fmt: skip
        return parse_targets(listed.stdout)

    def _mmdebstrap(self, options: list[str], what: tuple[str, Path, Sequence[str]], host: Host) -> None:
        suite, archive, sources = what
        host.run(
            "mmdebstrap", "--quiet", "--mode=root", *options,
            *(f"--dpkgopt=path-exclude={path}" for path in UNWANTED), f"--dpkgopt=path-include={WANTED}",
            "--dpkgopt=force-unsafe-io",
            suite, archive, *sources,
            doing=f"installing the packages of {suite}",
            how=Run(environment={"INITRD": "No"}),
        )  # fmt: skip


DISTRIBUTIONS: Mapping[str, Distribution] = {"debian": Debian()}


def require_mirror(site: str, suite: str, host: Host) -> None:
    """Raises MirrorUnreachable if `site` does not hand out the release file of `suite` within a short time."""
    release = f"{site.rstrip('/')}/dists/{suite}/InRelease"
    options = (f"-oAcquire::http::Timeout={MIRROR_TIMEOUT_S}", f"-oAcquire::https::Timeout={MIRROR_TIMEOUT_S}")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            host.run(
                APT_HELPER, *options, "-oAcquire::Retries=0", "download-file", release, f"{scratch}/InRelease",
                doing="asking the mirror",
            )  # fmt: skip
        except ToolFailed as error:
            why = FETCH_ERROR.search(str(error))
            raise MirrorUnreachable(
                f"the package mirror does not answer: {release}: {why[1].strip() if why else error}",
                hint="check the network and the proxy of apt; apt-get update uses the same mirror",
            ) from error


def parse_targets(text: str) -> dict[str, str]:
    """The first site of each archive that apt knows, by the label of its release file."""
    sites: dict[str, str] = {}
    for line in text.splitlines():
        label, site, component = line.split("|")
        if component == "main":
            sites.setdefault(label, site)
    return sites


def parse_status(text: str) -> dict[str, str]:
    """Names and versions of the installed packages in a dpkg status file."""
    packages = {}
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return packages


def seed_accounts(recipe: Recipe) -> str:
    """A script that gives the tree $1 its system users and groups before packages would roll ids for them."""
    passwd = "".join(f"{u.name}:x:{u.uid}:{u.gid}::{u.home}:/usr/sbin/nologin\n" for u in recipe.users)
    shadow = "".join(f"{u.name}:!*:19000:::::1:\n" for u in recipe.users)
    own = {u.name: u.gid for u in recipe.users if LAST_ALLOTTED_ID < u.gid == u.uid}
    groups = sorted({**own, **recipe.groups}.items(), key=lambda item: item[1])
    group = "".join(f"{name}:x:{gid}:\n" for name, gid in groups)
    parts = (("passwd", passwd), ("shadow", shadow), ("group", group))
    script = "".join(f'cat >>"$1/etc/{name}" <<END\n{content}END\n' for name, content in parts)
    return textwrap.dedent("#!/bin/sh\nset -eu\n") + script
