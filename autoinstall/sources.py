"""All words that a run is asked with: of the line, of the file that it names, and of systemd's credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from autoinstall.cmdline import Word, parse
from autoinstall.errors import BadWords, MountFailed, Refused, TookTooLong
from autoinstall.grammar import ssh_key
from autoinstall.grammar_sources import OnMedium
from autoinstall.host import Host
from autoinstall.mounts import OF_MEDIA, mounted
from autoinstall.parameters import PARAMETERS, PREFIX, canonical, is_kept, row_of
from autoinstall.request import Request
from autoinstall.services import CERTIFICATES, refuse_unchecked
from autoinstall.telling import https_words

SYSTEM_CREDENTIALS = Path("/run/credentials/@system")
CREDENTIALS = "CREDENTIALS_DIRECTORY"
BY_LABEL = Path("/dev/disk/by-label")
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
"""Of the package ca-certificates: the certificates of all authorities."""
WORDS, KEYS = "autoinstall.words", "autoinstall.ssh_key"
LARGEST_BYTES = 1 << 16
MEDIUM_LIMIT_S = 60
ANSWER_LIMIT_S = 30
NETWORK_LIMIT_S = 90

LINE_ONLY = frozenset((WORDS, "autoinstall.end", "autoinstall.on_failure", "rescue"))
"""Words that are read where no file can be: by the initramfs, by systemd, and where a run has died."""


def with_file(words: Sequence[Word], host: Host) -> tuple[Word, ...]:
    """The words, with those of the file that autoinstall.words names in its place.

    Raises BadWords for what no such file may hold, Refused where it cannot be read.
    """
    return tuple(one for word in words for one in _expanded(word, host))


def with_credentials(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words, each secret one replaced by its credential where there is one. Raises BadWords."""
    given = credentials()
    names = [word.name for word in given]
    return (*given, *(word for word in words if canonical(word.name) not in names))


def credentials() -> tuple[Word, ...]:
    """The secrets that systemd has for this run, or in a shell for this machine (systemd.exec(5)).

    Raises BadWords for one that is none of ours. Encrypted ones are not here: LoadCredential= of the unit takes none
    either.
    """
    secret = {_credential(row.name): row.name for row in PARAMETERS if row.secret}
    there = [path.name for path in _files(SYSTEM_CREDENTIALS) if path.name.startswith(PREFIX)]
    unknown = [f"credential {name}: there is no secret word of that name" for name in there if name not in secret]
    if unknown:
        raise BadWords(*unknown, hint=f"known: {', '.join(sorted(secret))}")
    places = SYSTEM_CREDENTIALS, Path(os.environ.get(CREDENTIALS, SYSTEM_CREDENTIALS))
    found = {path.name: path for place in places for path in _files(place) if path.name in secret}
    return tuple(Word(secret[name], _secret_text(path)) for name, path in found.items())


def refuse_https(words: Sequence[Word]) -> None:
    """Raises Refused for an https URL where the image that runs has nothing to check a certificate with."""
    refuse_unchecked(https_words(words), (CERTIFICATES,) if BUNDLE.exists() else ())


def with_keys(request: Request, host: Host) -> Request:
    """The request with the keys of its URLs. Raises BadWords for what is none, Refused where none can be read."""
    fetched = [key for url in request.key_urls for key in keys_of(_text(KEYS, _from_server(KEYS, url, host)))]
    return replace(request, ssh_keys=(*request.ssh_keys, *fetched), key_urls=())


def keys_of(text: str) -> tuple[str, ...]:
    """The keys of an authorized_keys file without options. Raises BadWords with all that is wrong."""
    found, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            kind, blob, comment, *_ = [*line.split(maxsplit=2), "", ""]
            try:
                found.append(ssh_key(f"{kind}:{blob}:{re.sub('[^A-Za-z0-9_.@+-]+', '_', comment.strip())}"))
            except ValueError as error:
                problems.append(f"{KEYS}: line {number}: {error}")
    if not found and not problems:
        problems = [f"{KEYS}: the file holds no key"]
    if problems:
        raise BadWords(*problems, hint="correct the file: TYPE BASE64 COMMENT")
    return tuple(found)


def _expanded(word: Word, host: Host) -> Iterator[Word]:
    yield word
    row = row_of(word.name)
    if row and row.name == WORDS:
        try:
            source = row.parse(word.value)
        except ValueError:
            return  # whoever reads the line tells
        data = _from_medium(source, host) if isinstance(source, OnMedium) else _from_server(WORDS, str(source), host)
        yield from words_of(_text(WORDS, data))


def words_of(text: str) -> tuple[Word, ...]:
    """The words of such a file: one a line; # begins a comment. Raises BadWords with all that is wrong."""
    found: list[Word] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = parse(line)
        except BadWords as error:
            problems += [f"{WORDS}: line {number}: {why.removeprefix('the command line ')}" for why in error.reasons]
            continue
        why = _why_not(words[0]) if len(words) == 1 else "more than one word; double quotes protect blanks"
        problems += [f"{WORDS}: line {number}: {why}"] if why else []
        found += words
    if problems:
        raise BadWords(*problems, hint="correct the file")
    return tuple(found)


def _why_not(word: Word) -> str:
    if canonical(word.name) in LINE_ONLY:
        return f"{word.name} must stand on the kernel command line itself"
    known = row_of(word.name) or is_kept(word.name) or word.name.startswith(PREFIX)
    named = word.name if re.fullmatch("[A-Za-z0-9_.-]+", word.name) else "this"  # it may be a hash
    return "" if known else f"{named} is no word of ours, and nobody else reads this file"


def _text(name: str, data: bytes) -> str:
    if len(data) > LARGEST_BYTES:
        raise Refused(f"{name}: the file has more than {LARGEST_BYTES} bytes", hint="name another file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadWords(f"{name}: the file is no text: {error}", hint="name another file") from error


def _from_medium(source: OnMedium, host: Host) -> bytes:
    device = BY_LABEL / source.label
    try:
        host.wait_for(str(device), device.exists, MEDIUM_LIMIT_S)
    except TookTooLong as error:
        raise Refused(f"{WORDS}: no medium has the label {source.label}", hint="insert it, and boot again") from error
    try:
        with (
            mounted(host, str(device), "ro", filesystems=OF_MEDIA) as root,
            (root / source.path.lstrip("/")).open("rb") as file,
        ):
            return file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{WORDS}: {source.path} on {source.label}: {error.strerror}", hint="look there") from error
    except MountFailed as error:
        raise Refused(f"{WORDS}: {error}", hint="put the file on a medium with vfat, ext4 or iso9660") from error


def _from_server(name: str, url: str, host: Host) -> bytes:
    """What the server has, asked again and again while the network comes up."""
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.request import urlopen  # a tenth of all that a run imports

    refuse_https([Word(name, url)])
    data, why = b"", ""

    def fetched() -> bool:
        nonlocal data, why
        try:
            with urlopen(url, timeout=ANSWER_LIMIT_S) as answer:
                data, missing = answer.read(LARGEST_BYTES + 1), answer.length
        except (URLError, HTTPException, OSError, ValueError) as error:
            why = str(error)
            return False
        if missing and len(data) <= LARGEST_BYTES:
            why = f"the answer ended {missing} bytes too early"
            return False
        return True

    try:
        host.wait_for(url, fetched, NETWORK_LIMIT_S)
    except TookTooLong as error:
        raise Refused(f"{name}: {url} cannot be fetched: {why}", hint="look at the server") from error
    return data


def _credential(name: str) -> str:
    return PREFIX + name.removeprefix(PREFIX)


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _secret_text(path: Path) -> str:
    try:
        return path.read_text().rstrip("\n")
    except UnicodeDecodeError as error:
        raise BadWords(f"credential {path.name}: is no text", hint="give it as text") from error
