"""make bench: what the product costs, measured in virtual machines, into docs/performance.md.

Figures are only honest where nothing else runs on the host: the load before each part is printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import page
from tests.bench.chain import run_chain
from tests.bench.compare import compare
from tests.bench.contents import contents
from tests.bench.upgrade import run_upgrades
from tests.bench.verity import run_verity
from tests.vm.hardware import Firmware, Hardware
from tests.vm.image import ROOT, Image, Shared, build, cache
from tests.vm.installed import Installed, Line, install_from_iso
from tests.vm.live import boot_live
from tests.vm.ssh import new_key

PAGE = ROOT / "docs/performance.md"


class Bench:
    """The parts of a run; each writes its sections."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.shared = Shared(place)
        self.key = new_key(place / "key")
        self.image = Image(self.shared.once("image", build))

    def install(self) -> None:
        """The install beside dd and a script; and how the live system booted."""
        live = boot_live(self.image, Hardware(cdrom=self.image.iso, cpus=2), self.shared)
        with live.start(self.place, name="analyze") as machine:
            write("live-boot", page.boot(*(machine.shell(f"systemd-analyze {verb} --no-pager") for verb in ANALYZE)))
        public_key = self.key.with_suffix(".pub").read_text().strip()
        write("install", page.compared(compare(live, self.place, public_key)))

    def chain(self) -> None:
        """From power to login, and how the node booted."""
        found = run_chain(Line(Firmware.BIOS, self.key), self.place / "chain")
        write("chain", page.chain(found))
        write("node-boot", page.boot(found.boot, found.blame))

    def upgrade(self) -> None:
        """The upgrade of a node beside RAUC's, and the reboot into it."""
        write("upgrade", page.upgraded(run_upgrades(self._installed(), self.place / "upgrade")))

    def verity(self) -> None:
        """What dm-verity costs a boot."""
        write("verity", page.verity(run_verity(self._installed(), self.place / "verity")))

    def contents(self) -> None:
        """What fills the ISO."""
        write("contents", page.contents(contents(self.image, self.place)))

    def _installed(self) -> Installed:
        return install_from_iso(Line(Firmware.BIOS, self.key), self.shared)


ANALYZE = ("time", "blame")
PARTS: Mapping[str, Callable[[Bench], None]] = {
    "install": Bench.install,
    "chain": Bench.chain,
    "upgrade": Bench.upgrade,
    "verity": Bench.verity,
    "contents": Bench.contents,
}


def main() -> int:
    """Run the parts that are asked for, all of them without a word; 0 if all of it went well."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    asked = parser.parse_args().parts or list(PARTS)
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=cache()))
    bench = Bench(place)
    for name in asked:
        print(f"bench: {name}; load of this host: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs", flush=True)
        PARTS[name](bench)
    shutil.rmtree(place)
    return 0


def write(section: str, text: str) -> None:
    """Into the page, and onto the terminal."""
    PAGE.write_text(page.with_section(PAGE.read_text(), section, text))
    print(f"{text}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
