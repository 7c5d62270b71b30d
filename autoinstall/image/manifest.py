"""The manifest: what an image says it is, and the sizes and hashes of its files. Pure.

It comes from outside and decides what is written to a slot: whatever is not exactly as it must be is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoinstall.errors import ImageInvalid

FORMAT = 1
PRODUCT = "autoinstall"
ARCH = "x86_64"
FILE_NAMES = ("vmlinuz", "initrd.img", "root.squashfs")
"""The files of every image, in the order in which they are written."""
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.json.sig"
LARGEST_BYTES = 4 << 20
LARGEST_FILE_BYTES = 64 << 30
KEYS = frozenset(
    (
        "format", "product", "arch", "image_id", "version", "security_version", "recipe", "suite", "kernel",
        "features", "files", "packages",
    )
)  # fmt: skip
SHA256 = re.compile(r"[0-9a-f]{64}")
TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:-]{0,127}")


@dataclass(frozen=True)
class ImageFile:
    """One file of an image."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """An image, described. `files` has one entry for each of FILE_NAMES, in that order."""

    version: str
    security_version: int
    recipe: str
    suite: str
    kernel: str
    features: tuple[str, ...]
    files: tuple[ImageFile, ...]
    packages: Mapping[str, str]

    @property
    def image_id(self) -> str:
        """64 hex digits that name exactly these bits: the hash of the files' names, sizes and hashes."""
        return hashlib.sha256(_canonical(_files_json(self.files))).hexdigest()

    @property
    def size_bytes(self) -> int:
        """What the files take together."""
        return sum(file.size_bytes for file in self.files)


def volume_label(manifest: Manifest) -> str:
    """The label of the medium that carries this image."""
    return f"AI-{manifest.image_id[:8]}"


def render_manifest(manifest: Manifest) -> bytes:
    """The bytes of manifest.json; equal manifests have equal bytes."""
    content = {
        "format": FORMAT,
        "product": PRODUCT,
        "arch": ARCH,
        "image_id": manifest.image_id,
        "version": manifest.version,
        "security_version": manifest.security_version,
        "recipe": manifest.recipe,
        "suite": manifest.suite,
        "kernel": manifest.kernel,
        "features": list(manifest.features),
        "files": _files_json(manifest.files),
        "packages": dict(sorted(manifest.packages.items())),
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def parse_manifest(data: bytes) -> Manifest:
    """The manifest whose file holds `data`. Raises ImageInvalid, saying what is wrong with it."""
    if len(data) > LARGEST_BYTES:
        raise ImageInvalid(f"manifest: {len(data)} bytes, more than the {LARGEST_BYTES} that any image needs")
    try:
        content = json.loads(data.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ImageInvalid(f"manifest: not valid JSON: {error}") from error
    fields = _object(content, "the manifest")
    if fields.get("format") != FORMAT:
        raise ImageInvalid(
            f"manifest: format {fields.get('format')!r}, this program reads format {FORMAT}",
            hint="use the autoinstall that the image was built with, or a newer one",
        )
    _check_constants(fields)
    manifest = Manifest(
        version=_text(fields["version"], "version"),
        security_version=_number(fields["security_version"], "security_version"),
        recipe=_text(fields["recipe"], "recipe"),
        suite=_text(fields["suite"], "suite"),
        kernel=_text(fields["kernel"], "kernel"),
        features=tuple(_text(feature, "features") for feature in _list(fields["features"], "features")),
        files=_files(_object(fields["files"], "files")),
        packages={_text(k, "packages"): _text(v, k) for k, v in _object(fields["packages"], "packages").items()},
    )
    if fields["image_id"] != manifest.image_id:
        raise ImageInvalid(f"manifest: image_id {fields['image_id']!r} is not that of the files it lists")
    return manifest


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _files_json(files: Sequence[ImageFile]) -> dict[str, dict[str, object]]:
    return {file.name: {"size": file.size_bytes, "sha256": file.sha256} for file in files}


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"{name!r} is there twice")
        content[name] = value
    return content


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")


def _check_constants(fields: Mapping[str, object]) -> None:
    missing, unknown = KEYS - fields.keys(), fields.keys() - KEYS
    if missing:
        raise ImageInvalid(f"manifest: without {', '.join(sorted(missing))}")
    if unknown:
        raise ImageInvalid(f"manifest: unknown {', '.join(sorted(unknown))}")
    for name, wanted in (("product", PRODUCT), ("arch", ARCH)):
        if fields[name] != wanted:
            raise ImageInvalid(f"manifest: {name} is {fields[name]!r}, not {wanted!r}")


def _files(entries: Mapping[str, object]) -> tuple[ImageFile, ...]:
    if sorted(entries) != sorted(FILE_NAMES):
        listed = ", ".join(sorted(entries)) or "none"
        raise ImageInvalid(f"manifest: the files are {listed}; an image has {', '.join(FILE_NAMES)}")
    return tuple(_file(name, _object(entries[name], name)) for name in FILE_NAMES)


def _file(name: str, entry: Mapping[str, object]) -> ImageFile:
    if entry.keys() != {"size", "sha256"}:
        raise ImageInvalid(f"manifest: {name} must have a size and a sha256, and nothing else")
    size_bytes = _number(entry["size"], f"the size of {name}")
    if not 0 < size_bytes <= LARGEST_FILE_BYTES:
        raise ImageInvalid(f"manifest: {size_bytes} bytes is no size for {name}")
    sha256 = entry["sha256"]
    if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
        raise ImageInvalid(f"manifest: the sha256 of {name} is not 64 hex digits")
    return ImageFile(name, size_bytes, sha256)


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ImageInvalid(f"manifest: {what} is not an object")
    return value


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ImageInvalid(f"manifest: {what} is not a list")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not TEXT.fullmatch(value):
        raise ImageInvalid(f"manifest: {what}: {value!r} is not a name or version")
    return value


def _number(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ImageInvalid(f"manifest: {what}: {value!r} is not a whole number")
    return value
