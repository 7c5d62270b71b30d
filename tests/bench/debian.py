"""Trees of Debian's packages that an image does not hold, of the image's own suite: unpacked, not installed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from autoinstall.host import Host
from autoinstall.image.build import cache_root, read_recipe
from autoinstall.image.cache import Cache, Product
from autoinstall.image.debian import DISTRIBUTIONS

TREE_MIB = 200


def tree_of(kind: str, packages: Sequence[str]) -> Path:
    """A tar file with packages and all that they need; cached."""
    recipe, host = read_recipe("vm"), Host()
    distribution = DISTRIBUTIONS[recipe.distribution]

    def make(place: Path) -> None:
        options = ["--quiet", "--variant=extract", f"--include={','.join(packages)}"]
        sources = distribution.sources(recipe, host)
        subprocess.run(["mmdebstrap", *options, recipe.suite, place / "tree.tar", *sources], check=True)

    ingredients = {"what": (recipe.suite, *packages)}
    return Cache(cache_root(), host).get(Product(kind, ingredients, TREE_MIB), make) / "tree.tar"
