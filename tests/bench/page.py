"""Measurements as tables of docs/performance.md: each between two marks, all else in the file is left as it is."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.bench.chain import PROMPT, Chain
from tests.bench.compare import Compared
from tests.bench.contents import Contents
from tests.bench.upgrade import Upgrades

MIB = 1 << 20
BLAME_LINES = 10
PACKAGE_LINES = 20
ISO_BOUNDS_MIB = (120, 160)
RATIO_BOUNDS = (1.0, 1.5)
RAUC_RATIO_BOUNDS = (0.6, 1.0)
LOGIN_BOUNDS_S = (100, 150)
MEMORY_BOUNDS_MIB = (80, 150)


def with_section(page: str, name: str, text: str) -> str:
    """The page with `text` between the marks of section `name`."""
    begin, end = f"<!-- bench: {name} -->\n", f"<!-- end: {name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    assert found and closed, f"the page has no section {name}"
    return f"{before}{begin}\n{text.strip()}\n\n{end}{after}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; all columns but the first hold numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def judged(value: float, bounds: tuple[float, float], unit: str = "") -> str:
    """A figure beside its aim and its hard bound."""
    aim, bound = bounds
    verdict = "within the aim" if value <= aim else "within the bound" if value <= bound else "**over the bound**"
    return f"{value:.2f}".rstrip("0").rstrip(".") + f"{unit} (aim {aim:g}, bound {bound:g}{unit}: {verdict})"


def compared(found: Compared) -> str:
    """Install, dd, and by hand."""
    rows = [
        _times("autoinstall.service, all of it", [run.whole_s for run in found.installs]),
        _times("script by hand", [sum(run.values()) for run in found.by_hand]),
        _times("dd of the same bytes", found.dd_s),
    ]
    by_hand = [[name, _median(run[name] for run in found.by_hand)] for name in found.by_hand[0]]
    rounds = [f"round {number + 1}" for number in range(len(found.dd_s))]
    return "\n\n".join(
        [
            table(["seconds", "median", *rounds], rows),
            _ratios(found),
            table(["install, seconds", "median", "making", "checking"], _steps(found)),
            "Making and checking: one more run, timed from the inside.",
            table(["script by hand, seconds", "median"], by_hand),
            _memory(found),
        ]
    )


def _ratios(found: Compared) -> str:
    parts = found.parts["steps"]
    read_back_s = sum(parts[step]["why_not_done"] for step in ("image-a", "image-b"))
    check_s = parts["verify-image"]["apply"]
    without = [(found.install_s - seconds) / found.by_hand_s for seconds in (read_back_s, read_back_s + check_s)]
    return (
        f"Install / script: {judged(found.install_s / found.by_hand_s, RATIO_BOUNDS)}. The script checks nothing: "
        f"without reading back both slots ({read_back_s:.1f} s) the ratio is {without[0]:.2f}, without the check of "
        f"the image beforehand too ({check_s:.1f} s) {without[1]:.2f}. Install / dd: "
        f"{found.install_s / statistics.median(found.dd_s):.1f}; {found.image_bytes / MIB:.1f} MiB, twice."
    )


def _steps(found: Compared) -> list[list[str]]:
    rows = []
    for name, part in found.parts["steps"].items():
        took = _median(run.steps_s[name] for run in found.installs)
        rows.append([name, took, f"{part['apply']:.2f}", f"{part['why_not_done']:.2f}"])
    before, behind = (_median(getattr(run, f"{end}_s") for run in found.installs) for end in ("before", "behind"))
    return [["before the first step", before, "", ""], *rows, ["behind the last step", behind, "", ""]]


def _memory(found: Compared) -> str:
    peak = max(run.memory_peak_bytes for run in found.installs) / MIB
    process = round(found.parts["peak_kib"] / 1024, 1)
    return (
        f"Peak memory of the installer's process (VmHWM): {judged(process, MEMORY_BOUNDS_MIB, ' MiB')}. Of its "
        f"control group (MemoryPeak): {peak:.0f} MiB, with the page cache of what was read and written, which the "
        "kernel takes back where memory is short."
    )


def chain(found: Chain) -> str:
    """From power to login."""
    login_s = found.marks_s[PROMPT]
    rows = sorted(found.marks_s.items(), key=lambda item: item[1])
    return "\n\n".join(
        [
            table(["seconds since QEMU's start", "seconds"], rows),
            f"QEMU's start to the node's login prompt: {judged(login_s, LOGIN_BOUNDS_S, ' s')}.",
        ]
    )


UPGRADES = {
    "directory": "autoinstall upgrade DIRECTORY",
    "url": "autoinstall upgrade URL",
    "rauc": "rauc install BUNDLE",
}


def upgraded(found: Upgrades) -> str:
    """The upgrade beside RAUC's, and how long the node is away for it."""
    rows = []
    for kind, name in UPGRADES.items():
        peak_mib = max(found.of(kind, lambda run: run.peak_kib)) / 1024
        rows.append([*_times(name, found.of(kind, lambda run: run.seconds)), f"{peak_mib:.1f}"])
    rounds = [f"round {number + 1}" for number in range(len(found.rounds))]
    spread = found.ratios("directory")
    ratio = found.median_s("directory") / found.median_s("rauc")
    steps = {kind: _upgrade_steps(found, kind) for kind in ("directory", "url")}
    both = found.into_new_s.keys() & found.again_s.keys()  # who waits for the last one may miss another
    marks = sorted(((name, found.into_new_s[name], found.again_s[name]) for name in both), key=lambda row: row[1])
    return "\n\n".join(
        [
            table(["seconds", "median", *rounds, "peak memory, MiB"], rows),
            f"Upgrade / RAUC: {judged(ratio, RAUC_RATIO_BOUNDS)}; of single rounds {min(spread):.2f} to "
            f"{max(spread):.2f}. The same {found.image_bytes / MIB:.1f} MiB of files.",
            table(
                ["upgrade, seconds", "DIRECTORY", "URL"],
                ([name, steps["directory"].get(name, ""), took] for name, took in steps["url"].items()),
            ),
            table(["seconds since the word to reboot", "into the new image", "once more"], marks),
        ]
    )


def _upgrade_steps(found: Upgrades, kind: str) -> dict[str, str]:
    names = found.rounds[0][kind].steps_s
    steps = {name: _median(found.of(kind, lambda run, name=name: run.steps_s[name])) for name in names}  # type: ignore[misc]
    return {**steps, "beside the steps": _median(found.of(kind, lambda run: run.seconds - sum(run.steps_s.values())))}


def verity(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Boots with dm-verity and without; each beside the one that came after it."""
    rounds = [f"boot {number + 1}" for number in range(min(map(len, found.values())))]
    rows = [
        _times(f"{kind}: {part}", [boot[part] for boot in boots])
        for kind, boots in found.items()
        for part in boots[0]
    ]
    whole = [[sum(boot.values()) for boot in boots] for boots in found.values()]
    ratios = [with_it / without for with_it, without in zip(*whole, strict=True)]
    return "\n\n".join(
        [
            table(["seconds", "median", *rounds], rows),
            f"With / without, the whole boot: {statistics.median(ratios):.2f}; of single pairs {min(ratios):.2f} to "
            f"{max(ratios):.2f}.",
        ]
    )


def boot(time: str, blame: str) -> str:
    """What systemd-analyze says of a boot."""
    took = re.sub(r"\s+", " ", time.strip().splitlines()[0])
    slowest = "\n".join(blame.strip("\n").splitlines()[:BLAME_LINES])
    return f"```\n{took}\n{slowest}\n```"


def contents(found: Contents) -> str:
    """What fills the ISO."""
    other = found.iso - sum(found.files.values())
    files = [*found.files.items(), ("boot loaders, ISO 9660, manifest", other)]
    directories = sorted(found.directories.items(), key=lambda item: -item[1][0])
    packages = list(found.packages.items())[:PACKAGE_LINES]
    left = sum(found.packages.values()) - sum(size for _, size in packages)
    return "\n\n".join(
        [
            f"ISO of `vm`: {judged(round(found.iso / MIB, 1), ISO_BOUNDS_MIB, ' MiB')}.",
            table(["on the ISO", "MiB"], ((name, _mib(size)) for name, size in files)),
            table(
                ["in root.squashfs", "MiB, packed", "MiB"], ((name, _mib(a), _mib(b)) for name, (a, b) in directories)
            ),
            table(["package", "MiB"], [*((name, _mib(size)) for name, size in packages), ("all others", _mib(left))]),
        ]
    )


def _times(name: str, seconds: Sequence[float]) -> list[object]:
    return [name, _median(seconds), *(f"{value:.1f}" for value in seconds)]


def _median(values: Iterable[float]) -> str:
    return f"{statistics.median(values):.2f}"


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}"
