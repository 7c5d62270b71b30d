"""What the words of disks and sizes say together: they name volumes and disks of each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoinstall.grammar_disks import Amount, DiskSelector, VolumeSize
from autoinstall.grammar_storage import Storage, SwapCipher

OF_APP = ("Swap2", "Data2")


@dataclass(frozen=True)
class DiskWords:
    """storage_init, autoinstall.app_disks, storage_vol and swap_encrypt, as they were read.

    `app_twice` is whether both of the first two name disks of AppVG, and not the same.
    """

    boot: DiskSelector | None
    host: tuple[DiskSelector, ...]
    app: tuple[DiskSelector, ...]
    sizes: tuple[VolumeSize, ...]
    ciphers: tuple[SwapCipher, ...]
    app_twice: bool

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> DiskWords:
        """From the values of a line, by the names of their words."""
        storage: Storage | None = values.get("storage_init")
        behind = storage.app if storage else ()
        apart = values.get("autoinstall.app_disks", ())
        return cls(
            boot=storage.boot if storage else None,
            host=storage.host if storage else (),
            app=behind or apart,
            sizes=values.get("storage_vol", ()),
            ciphers=values.get("swap_encrypt", ()),
            app_twice=bool(behind and apart and behind != apart),
        )

    def problems(self, *, of_a_node: bool) -> list[str]:
        """What does not fit together. What is about a node that is there makes no volumes."""
        clauses = [
            (self.app_twice, "autoinstall.app_disks: storage_init names other disks behind its semicolon"),
            (bool(self.app) and not self.boot, "autoinstall.app_disks: name the boot disk too: storage_init=DISK"),
        ]
        if not of_a_node:
            sized = [name for name in OF_APP if self._is_made(name)]
            clauses += [
                (bool(self.app) and not sized, "AppVG has nothing to hold: give a size: storage_vol=SIZE,Data2"),
                (
                    bool(sized) and not self.app,
                    f"{' and '.join(sized)}: name a disk for it: autoinstall.app_disks=DISK",
                ),
            ]
            clauses += [
                (not self._is_made(item.name), f"swap_encrypt: there will be no {item.name}") for item in self.ciphers
            ]
        return [problem for holds, problem in clauses if holds]

    def _is_made(self, name: str) -> bool:
        """Whether there will be that volume: of HostVG unless none is asked for, of AppVG where a size is."""
        asked = next((size.amount for size in self.sizes if size.name == name), Amount.DEFAULT)
        return asked is not Amount.NONE and (asked is not Amount.DEFAULT or name not in OF_APP)
