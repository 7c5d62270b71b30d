"""Who made an image: a detached signature of OpenPGP over the manifest, which names all else by its hash.

gpgv checks; but its exit status is no verdict: it is 0 also where the key has expired or was revoked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from autoinstall.errors import BadRecipe, BadUsage, NotTrusted
from autoinstall.host import Host, Run
from autoinstall.image.manifest import MANIFEST_NAME, SIGNATURE_NAME

KEYS = Path("/usr/lib/autoinstall/keys.gpg")
"""The keys whose images the system that runs takes; where it has none it takes any image."""
LARGEST_BYTES = 64 << 10
STATUS = "[GNUPG:] "
PUBLIC_KEY = 6
"""The tag of an OpenPGP packet (RFC 9580, 5)."""
WHY_NOT = {
    "BADSIG": "the manifest is not the one that {name} ({key}) signed",
    "EXPKEYSIG": "the key of {name} ({key}) has expired",
    "REVKEYSIG": "the key of {name} ({key}) was revoked",
    "EXPSIG": "the signature of {name} ({key}) has expired",
    "ERRSIG": "the key {key} is not one of this system's, or cannot be checked with",
    "NODATA": f"{SIGNATURE_NAME} holds none",
}
"""What gpgv says of a signature that does not count (GnuPG, doc/DETAILS)."""
HINT = f"get the image again, with its {SIGNATURE_NAME}, from who makes it; the keys of this system are in {KEYS}"


@dataclass(frozen=True)
class Papers:
    """What tells of an image, read once: the bytes of its manifest, and of the signature; None where it has none."""

    manifest: bytes
    signature: bytes | None = None

    @property
    def files(self) -> dict[str, bytes]:
        """The same, as files by their names."""
        signature = {} if self.signature is None else {SIGNATURE_NAME: self.signature}
        return {MANIFEST_NAME: self.manifest, **signature}


def read_papers(directory: Path) -> Papers:
    """Those of the image in a directory. Raises OSError."""
    manifest = (directory / MANIFEST_NAME).read_bytes()
    try:
        return Papers(manifest, (directory / SIGNATURE_NAME).read_bytes())
    except FileNotFoundError:
        return Papers(manifest)


def checked(papers: Papers, host: Host, keys: Path = KEYS) -> str:
    """Who signed the manifest; empty on a system without keys, which does not ask. Raises NotTrusted.

    A clock that stands before the time of the key, as that of a machine whose battery is empty, is no reason.
    """
    try:
        keys.stat()
    except FileNotFoundError:
        return ""
    if papers.signature is None:
        raise NotTrusted(f"the image is not signed: there is no {SIGNATURE_NAME} beside its manifest", hint=HINT)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        for name, data in papers.files.items():
            Path(place, name).write_bytes(data)
        done = host.run(
            "gpgv", "--ignore-time-conflict", "--status-fd", "1", "--keyring", keys,
            Path(place, SIGNATURE_NAME), Path(place, MANIFEST_NAME),
            doing="checking the signature of the image", how=Run(accept=(0, 1, 2)),
        )  # fmt: skip
    return verdict(done.status, done.stdout)


def verdict(status: int, said: str) -> str:
    """Who signed, by gpgv's exit status and what it wrote to --status-fd. Raises NotTrusted unless all is well."""
    lines = [line.removeprefix(STATUS).split(" ", 2) for line in said.splitlines() if line.startswith(STATUS)]
    count = Counter(line[0] for line in lines)
    about = {word: (*rest, "", "")[:2] for word, *rest in lines}
    for word, why in WHY_NOT.items():
        if count[word]:
            key, name = about[word]
            raise NotTrusted(
                f"the signature of the image does not count: {why.format(key=key, name=name)}", hint=HINT
            )
    if status != 0 or count["GOODSIG"] != 1 or count["VALIDSIG"] != 1:
        raise NotTrusted(f"{SIGNATURE_NAME} is not one good signature of the image, and nothing else", hint=HINT)
    key, name = about["GOODSIG"]
    return f"{name} ({key})"


def told(signer: str) -> str:
    """One line of what `checked` found."""
    if signer:
        return f"the image is signed by {signer}"
    return "who made the image is not checked: this system has no keys"


def public_keys(path: Path) -> bytes:
    """The keyring in a file, as gpgv takes it. Raises BadRecipe where it is another thing, such as secret keys."""
    hint = f"make it with: gpg --export KEYID >{path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadRecipe(f"[image] keys: {path} cannot be read: {error.strerror}", hint=hint) from error
    if not data or _packet_tag(data[0]) != PUBLIC_KEY:
        raise BadRecipe(f"[image] keys: {path} does not begin with a public key in binary form", hint=hint)
    return data


def _packet_tag(first: int) -> int:
    """The tag in the first byte of a packet, of the new or the old format; 0 where it is none (RFC 9580, 4.2)."""
    if not first & 0x80:
        return 0
    return first & 0x3F if first & 0x40 else first >> 2 & 0x0F


def require_key(key: str, host: Host) -> None:
    """Raises BadUsage where GnuPG has no such secret key, or ToolMissing."""
    found = host.run(
        "gpg", "--batch", "--list-secret-keys", "--", key, doing=f"looking for the key {key}", how=Run(accept=(0, 2))
    )
    if found.status != 0:
        raise BadUsage(f"--sign: GnuPG has no secret key {key!r}", hint="gpg --list-secret-keys names those it has")


def sign(directory: Path, key: str, host: Host) -> None:
    """Sign the manifest in a directory with a key of whoever runs this. Raises ToolMissing or ToolFailed."""
    host.run(
        "gpg", "--batch", "--yes", "--local-user", key, "--output", directory / SIGNATURE_NAME,
        "--detach-sign", directory / MANIFEST_NAME,
        doing="signing the image",
    )  # fmt: skip
