"""`autoinstall lint`: what the installer would say of a line, and how each boot loader must be given it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoinstall import advice, cmdline
from autoinstall.errors import EXIT_ASKED, EXIT_OK, BadUsage, BadWords
from autoinstall.host import Host
from autoinstall.loaders import LOADERS
from autoinstall.request import request_from, rescue_asked


@dataclass(frozen=True)
class Opinion:
    """What there is to say of one line. `forms` and `faults` have a key for each loader that can, or cannot."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    action: str | None = None
    forms: dict[str, str] = field(default_factory=dict)
    faults: dict[str, tuple[str, ...]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall lint`."""
    parser.add_argument("line", nargs="?", metavar="LINE", help="a kernel command line; - reads lines from stdin")
    parser.add_argument("--file", nargs="+", type=Path, metavar="FILE", help="files of lines; # begins a comment")
    parser.add_argument("--json", action="store_true", help="print JSON: a list with one object for each line")


def main(args: argparse.Namespace, host: Host) -> int:
    """Say what there is to say; EXIT_ASKED where the installer would refuse a line. Raises BadUsage."""
    if (args.line is None) == (not args.file):
        raise BadUsage("one LINE, or --file FILE", hint='for instance: autoinstall lint "storage_init BOOTIF=link"')
    opinions = [(where, opinion(line)) for where, line in _lines(args)]
    if args.json:
        print(json.dumps([_to_json(where, said) for where, said in opinions], indent=1))
    else:
        print("\n".join(text for where, said in opinions for text in _to_text(where, said)))
    return EXIT_ASKED if any(said.errors for _, said in opinions) else EXIT_OK


def opinion(line: str) -> Opinion:
    """Everything there is to say of a line. Pure."""
    try:
        words = cmdline.parse(line)
    except BadWords as error:
        return Opinion(error.reasons)
    notes, crowd = advice.notes(words), advice.crowd(words)
    warnings = (*advice.warnings(line, words), *advice.unlike_dracut(words))
    try:
        if not rescue_asked(words):
            cmdline.refuse_cut(line)
        request = request_from(words)
    except BadWords as error:
        return Opinion((*error.reasons, *filter(None, [crowd])), warnings, notes)
    forms, faults = {}, {}
    for loader in LOADERS:
        try:
            forms[loader.name] = f"{loader.command} {loader.quoted(words)}".rstrip()
        except BadWords as error:
            faults[loader.name] = error.reasons
    risks = [f"{loader.name}: {risk}" for loader in LOADERS if (risk := loader.warning(words))]
    errors, warnings = (crowd,) if crowd else (), (*warnings, *request.warnings)
    return Opinion(errors, warnings, (*notes, *risks), request.action.value, forms, faults)


def _lines(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Each line, and where it stands; the one of the command line stands nowhere."""
    if args.line == "-":
        yield from _of_text("-", sys.stdin.read())
    elif args.line is not None:
        yield "", args.line
    for path in args.file or ():
        try:
            yield from _of_text(str(path), path.read_text(errors="surrogateescape"))
        except OSError as error:
            raise BadUsage(f"reading {path}: {error.strerror}") from error


def _of_text(name: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{name}:{number}", line


def _to_text(where: str, said: Opinion) -> Iterator[str]:
    before = f"{where}: " if where else ""
    for kind, texts in (("error", said.errors), ("warning", said.warnings), ("note", said.notes)):
        yield from (f"{before}{kind}: {text}" for text in texts)
    for loader in LOADERS:
        if loader.name in said.forms:
            yield f"{before}{loader.name}: {said.forms[loader.name]}"
        for text in said.faults.get(loader.name, ()):
            yield f"{before}{loader.name}: cannot hand this on: {text}"


def _to_json(where: str, said: Opinion) -> dict[str, Any]:
    return {
        "where": where,
        "ok": not said.errors,
        "action": said.action,
        "errors": said.errors,
        "warnings": said.warnings,
        "notes": said.notes,
        "loaders": {
            loader.name: {"line": said.forms.get(loader.name), "errors": said.faults.get(loader.name, ())}
            for loader in LOADERS
        },
    }
