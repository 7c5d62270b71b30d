"""`autoinstall build`: from a recipe to an image and its ISO."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import autoinstall
from autoinstall.errors import BadRecipe
from autoinstall.host import Host, missing
from autoinstall.image import debian, grub, iso, layers, pypi, signature, verity
from autoinstall.image import recipe as recipes
from autoinstall.image.cache import MIB, Cache, Product, digest, require_space, say
from autoinstall.image.layers import Layers
from autoinstall.image.manifest import (
    FILE_NAMES,
    MANIFEST_NAME,
    SIGNATURE_NAME,
    ImageFile,
    Manifest,
    parse_manifest,
    render_manifest,
)
from autoinstall.image.pxe import NETWORK_LOADER, WORDS_NAME
from autoinstall.image.tree import Tree

SHIPPED = Path(__file__).parent / "recipes"
IN_NAMESPACE = "AUTOINSTALL_BUILD_NAMESPACE"
TOOLS = ("mmdebstrap", "mksquashfs", "xorriso", "mformat", "mcopy", "tar", "unshare", "veritysetup")
OUTPUT_MIB = 400
NEEDS_MIB = {"base": 1200, "grub": 300, "python": 20, "initramfs": 800, "image": 800}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall build`."""
    parser.add_argument(
        "--recipe", default="vm", metavar="FILE|NAME", help="a file, or one that is shipped: metal, vm"
    )
    parser.add_argument("--cmdline", default="", metavar="WORDS", help="words that the ISO's menu boots with")
    parser.add_argument("--sign", metavar="KEYID", help="sign the image with this key of your GnuPG")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where the image goes")


def main(args: argparse.Namespace, host: Host) -> int:
    """Builds what `args` ask for. Progress goes to stderr, and the table of what was made to stdout."""
    recipe = read_recipe(args.recipe)
    keys = Path(args.recipe).parent / recipe.keys if recipe.keys else None
    content = signature.public_keys(keys) if keys else b""
    _require_tools()
    if args.sign is not None:
        signature.require_key(args.sign, host)
    if IN_NAMESPACE not in os.environ:
        enter_namespace(sys.argv[1:])
    require_space(args.output, OUTPUT_MIB, f"writing an image to {args.output}")
    builder = Builder(recipe, Cache(cache_root(), host), host, content)
    image = builder.image()
    args.output.mkdir(parents=True, exist_ok=True)
    _forget_signature_of_another(image, args.output)
    for name in (*FILE_NAMES, MANIFEST_NAME):
        _copy(image / name, args.output / name)
    if args.sign is not None:
        signature.sign(args.output, args.sign, host)
    if keys:
        _check_signature(args.output, keys, host)
    _copy(builder.boot_files() / "network" / NETWORK_LOADER, args.output / NETWORK_LOADER)
    (args.output / WORDS_NAME).write_text(" ".join(builder.default_words) + "\n")
    output = args.output / f"autoinstall-{recipe.name}.iso"
    builder.iso(args.output, args.cmdline, output)
    print(_table(args.output, output))
    return 0


def read_recipe(asked: str) -> recipes.Recipe:
    """The recipe of that name, or in that file. Raises BadRecipe."""
    shipped = {path.stem: path for path in sorted(SHIPPED.glob("*.ini"))}
    path = shipped.get(asked, Path(asked))
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        hint = f"a file, or one of: {', '.join(shipped)}"
        raise BadRecipe(f"recipe {asked}: cannot be read: {error}", hint=hint) from error
    recipe = recipes.parse_recipe(text, path.stem, {name: file.read_text() for name, file in shipped.items()})
    if recipe.distribution not in debian.DISTRIBUTIONS:
        known = ", ".join(debian.DISTRIBUTIONS)
        raise BadRecipe(f"recipe {recipe.name}: unknown distribution {recipe.distribution} (known: {known})")
    return recipe


def cache_root() -> Path:
    """Where builds are kept: $AUTOINSTALL_CACHE, or a directory of the user's cache."""
    if chosen := os.environ.get("AUTOINSTALL_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoinstall"


def namespace_command(uid: int) -> list[str]:
    """What runs a program as root with mounts of its own; for a user, root of the user's sub-ids."""
    mapping = [] if uid == 0 else ["--map-root-user", "--map-auto"]
    return ["unshare", *mapping, "--mount", "--propagation", "private"]


def enter_namespace(arguments: Sequence[str]) -> None:
    """Starts this program over in its namespace; does not return. Raises ToolMissing without package uidmap."""
    if os.getuid() != 0 and shutil.which("newuidmap") is None:
        raise missing("newuidmap", "building as an ordinary user")
    command = [*namespace_command(os.getuid()), sys.executable, "-m", "autoinstall", *arguments]
    path = os.pathsep.join([str(layers.SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, IN_NAMESPACE: "1", "PYTHONPATH": path})


@dataclass(frozen=True)
class Builder:
    """The products of a build, each made from the ones before it."""

    recipe: recipes.Recipe
    cache: Cache
    host: Host
    keys: bytes = b""

    @property
    def distribution(self) -> debian.Distribution:
        return debian.DISTRIBUTIONS[self.recipe.distribution]

    @property
    def default_words(self) -> tuple[str, ...]:
        """The words of every boot of a medium."""
        return (*self.recipe.kernel_words, *self.recipe.words)

    def base(self) -> Path:
        """A directory with base.tar: the distribution's packages, installed."""
        recipe = self.recipe
        ingredients = {
            "what": (recipe.distribution, recipe.suite, recipe.components, recipe.kernel, recipe.packages),
            "accounts": (recipe.users, recipe.groups),
            "how": _own("debian.py"),
        }

        def make(place: Path) -> None:
            sources = self.distribution.sources(recipe, self.host)
            self.distribution.bootstrap(recipe, sources, place / "base.tar", self.host)

        return self.cache.get(Product("base", ingredients, NEEDS_MIB["base"]), make)

    def boot_files(self) -> Path:
        """A directory with node/, medium/ and network/: see grub.make_boot_files."""
        recipe = self.recipe
        ingredients = {"what": (recipe.distribution, recipe.suite), "how": _own("debian.py", "grub.py")}

        def make(place: Path) -> None:
            sources = self.distribution.sources(recipe, self.host)
            with self.cache.scratch() as scratch:
                self.distribution.grub(recipe, sources, scratch / "grub.tar", self.host)
                (scratch / "tree").mkdir()
                Tree(scratch / "tree", self.host).unpack(scratch / "grub.tar")
                grub.make_boot_files(grub.GrubTree(scratch / "tree", self.host), place)

        return self.cache.get(Product("grub", ingredients, NEEDS_MIB["grub"]), make)

    def python(self) -> Path:
        """A directory to put on Python's path: what the recipe takes from PyPI."""

        def make(place: Path) -> None:
            with self.cache.scratch() as scratch:
                pypi.fetch(self.recipe.python, place, scratch, self.host)

        ingredients = {"what": self.recipe.python, "how": _own("pypi.py")}
        return self.cache.get(Product("python", ingredients, NEEDS_MIB["python"]), make)

    def initramfs(self, parts: Layers) -> Path:
        """A directory with vmlinuz and initrd.img."""
        ingredients = {
            "base": str(parts.base),
            "what": self.recipe.initramfs,
            "how": (digest(layers.DRACUT, layers.MANAGER), _own("layers.py", "tree.py")),
        }
        product = Product("initramfs", ingredients, NEEDS_MIB["initramfs"])
        return self.cache.get(product, lambda place: layers.make_initramfs(parts, place, self.cache))

    def image(self) -> Path:
        """A directory with the files of an image, and its manifest."""
        base = self.base() / "base.tar"
        epoch_s = int(base.stat().st_mtime)
        parts = Layers(self.recipe, base, self.boot_files(), self.python(), epoch_s, self.host, self.keys)
        initramfs = self.initramfs(parts)
        ingredients = {
            "parts": (str(base), str(parts.boot_files), str(parts.python), str(initramfs)),
            "recipe": self.recipe,
            "keys": self.keys.hex(),
            "ours": digest(*(path for path in (layers.PACKAGE, layers.UNITS) if path.exists())),
        }

        def make(place: Path) -> None:
            for name in ("vmlinuz", "initrd.img"):
                _copy(initramfs / name, place / name)
            kernel = layers.make_root(parts, place, self.cache)
            verity.add_table(place / "initrd.img", verity.add_hash_tree(place / "root.squashfs", self.host))
            (place / MANIFEST_NAME).write_bytes(render_manifest(self.manifest(place, base, kernel)))

        return self.cache.get(Product("image", ingredients, NEEDS_MIB["image"]), make)

    def manifest(self, place: Path, base: Path, kernel: str) -> Manifest:
        """What the image in `place` is."""
        with self.cache.scratch() as scratch:
            member = "./var/lib/dpkg/status"
            self.host.run("tar", "-xf", base, "-C", scratch, member, doing="reading the list of packages")
            packages = self.distribution.packages(scratch)
        packages.update({f"pypi:{pin.name}": pin.version for pin in self.recipe.python})
        return Manifest(
            version=self.recipe.version or autoinstall.__version__,
            security_version=self.recipe.security_version,
            recipe=self.recipe.name,
            suite=self.recipe.suite,
            kernel=kernel,
            features=self.recipe.features,
            files=tuple(_image_file(place / name) for name in FILE_NAMES),
            packages=packages,
        )

    def iso(self, image: Path, line: str, output: Path) -> None:
        """Writes the ISO of an image, with `line` baked into its menu."""
        medium = iso.Medium(
            image=image,
            loader=self.boot_files() / "medium",
            template=(Path(__file__).parent / "grub/iso.cfg").read_text(),
            manifest=parse_manifest((image / MANIFEST_NAME).read_bytes()),
            default_words=self.default_words,
            line=line,
        )
        with self.cache.scratch() as scratch:
            iso.write_iso(medium, output, self.host, scratch)


def _forget_signature_of_another(image: Path, output: Path) -> None:
    """A signature that was made of what was built before, somewhere else perhaps, stays with that."""
    there = output / MANIFEST_NAME
    if not there.exists() or there.read_bytes() != (image / MANIFEST_NAME).read_bytes():
        (output / SIGNATURE_NAME).unlink(missing_ok=True)


def _check_signature(output: Path, keys: Path, host: Host) -> None:
    """Systems of this image take none but signed ones: it is no medium of their own without. Raises NotTrusted."""
    papers = signature.read_papers(output)
    if papers.signature is None:
        say(f"not signed, and with its keys it takes signed images only: sign {output / MANIFEST_NAME}, build again")
        return
    say(signature.told(signature.checked(papers, host, keys.absolute())))


def _require_tools() -> None:
    for tool in TOOLS:
        if shutil.which(tool) is None:
            raise missing(tool, "building an image")


def _own(*names: str) -> str:
    return digest(*(Path(__file__).parent / name for name in names))


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.copyfile(source, partial)
    partial.rename(target)


def _image_file(path: Path) -> ImageFile:
    with path.open("rb") as file:
        return ImageFile(path.name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _table(directory: Path, iso_path: Path) -> str:
    names = (*FILE_NAMES, *signature.read_papers(directory).files, NETWORK_LOADER)
    paths = [*(directory / name for name in names), iso_path]
    return "\n".join(f"{path.stat().st_size / MIB:8.1f} MiB  {path}" for path in paths)
