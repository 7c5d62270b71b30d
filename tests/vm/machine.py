"""A QEMU machine with everything a test may ask of it. TCG only: it is the same on every host.

    with Machine(Hardware(disks=(Disk(path),), cdrom=iso), tmp_path) as machine:
        machine.wait_for_line(r"^autoinstall: result=installed", limit_s=300)
        machine.wait_for_line(r"^autoinstall: node=healthy", limit_s=120)
        assert machine.ssh.run("id -un").stdout == "admin\n"

Nothing here sleeps: every wait is for something, has a limit, and says for what. When the block is left
through an exception, the message has the end of the console and says where the logs are.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.vm.hardware import Disk, Hardware, arguments
from tests.vm.ssh import Ssh, free_port
from tests.vm.watch import Console, Ended, Found, Lines, TimedOut, Watch

Event = dict[str, Any]

QMP_LIMIT_S = 60
GREETING_LIMIT_S = 3
PRESS_INTERVAL_S = 15
DOWN = "\x1b[B"
"""The key, for `Machine.type`."""
FATAL = re.compile(
    r"Kernel panic - not syncing.*|^grub rescue>|^Entering emergency mode|^.*Failed to execute /init.*"
    r"|^BdsDxe: No bootable option or device was found|^No bootable device",
    re.MULTILINE,
)


class Machine:
    """A machine that is running, or has run; its logs and its NVRAM are in `work_dir`."""

    def __init__(self, hardware: Hardware, work_dir: Path, *, key: Path | None = None, name: str = "machine") -> None:
        self.hardware = hardware
        self.work_dir = work_dir
        self.name = name
        self.events: list[Event] = []
        self.console = Console(self._log("console"))
        self.shell_console = Console(self._log("shell"))
        self.ssh = Ssh(free_port(), key, self._log("ssh"))
        self._watch = Watch()
        self._qmp_said: list[Event] = []
        self._on_event: Callable[[Event], None] | None = None
        self._numbers = itertools.count(1)
        self._shell_ready = False
        work_dir.mkdir(parents=True, exist_ok=True)
        self._process = self._start()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if error is not None:
            error.add_note(f"console of {self.name}, its last lines; the whole: {self.console.log}")
            error.add_note(self.console.last_lines())
            for said in self._qmp_said:
                if said.get("event") == "BLOCK_IO_ERROR":
                    error.add_note(f"QEMU: {said['data'].get('node-name')}: {said['data']['reason']}")

    # Waiting

    def wait_for_line(self, pattern: str, limit_s: float, unless: re.Pattern[str] = FATAL) -> re.Match[str]:
        """The next place on the console that matches, behind the last one found; ^ and $ mean lines.

        Raises TimedOut; Ended when QEMU ends first; AssertionError as soon as `unless` is seen.
        """
        wanted = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            match = self.console.find(wanted)
            bad = None if match else self.console.unseen(unless)
            assert bad is None, f"saw {bad.group(0)!r} while waiting for a console line {pattern!r}"
            return match

        return self._wait(f"a console line {pattern!r}", look, limit_s)

    def wait_for_event(self, limit_s: float, **fields: object) -> Event:
        """The first event on the report port that has these fields, whether it came already or not."""

        def look() -> Event | None:
            return next((event for event in self.events if fields.items() <= event.items()), None)

        return self._wait(f"a report with {fields}", look, limit_s)

    def result(self, limit_s: float) -> Event:
        """The final result on the report port."""
        return self.wait_for_event(limit_s, event_type="result")

    def wait_for_end(self, limit_s: float) -> None:
        """QEMU ends by itself: the guest powered off, or rebooted where the hardware does not."""
        self._wait("its end", lambda: True if self._watch.ended else None, limit_s)
        self._process.wait(QMP_LIMIT_S)

    def _wait(self, what: str, look: Callable[[], Found | None], limit_s: float) -> Found:
        try:
            return self._watch.wait_for(f"{what} ({self.name})", look, limit_s)
        except (TimedOut, Ended) as error:
            error.add_note(f"last lines of {self.console.log}:\n{self.console.last_lines()}")
            raise

    # Doing something to it

    def kill_at(self, wanted: Callable[[Event], bool]) -> None:
        """From now on, end QEMU in the moment a report comes for which `wanted` holds: the power fails."""

        def look(event: Event) -> None:
            if wanted(event):
                self._process.kill()

        self.hand_events_to(look)

    def hand_events_to(self, look: Callable[[Event], None]) -> None:
        """From now on, call `look` with each report in the moment it comes."""
        self._on_event = look

    def kill(self) -> None:
        """The power fails now. Does nothing to a machine that is off."""
        self._process.kill()
        self._process.wait(QMP_LIMIT_S)
        self._watch.join(QMP_LIMIT_S)
        self.console.close()
        self.shell_console.close()

    def power_off(self, limit_s: float = 120) -> None:
        """Press the power button until the machine is off: before logind runs, nobody hears it."""
        deadline_s = time.monotonic() + limit_s
        while True:
            try:
                self.qmp("system_powerdown")
                return self.wait_for_end(PRESS_INTERVAL_S)
            except TimedOut:
                if time.monotonic() > deadline_s:
                    raise
            except Ended:
                return self.wait_for_end(QMP_LIMIT_S)

    def plug(self, disk: Disk) -> None:
        """Add a disk to the running machine."""
        self._make_logs(disk)
        for node in disk.block_nodes():
            self.qmp("blockdev-add", **node)
        self.qmp("device_add", **disk.device())

    def unplug(self, disk: Disk) -> None:
        """Ask the machine to let go of a disk, and go on; the disk is gone when DEVICE_DELETED has come."""
        self.qmp("device_del", id=f"{disk.id}-dev")

    def fail(self, disk: Disk, rules: Path) -> None:
        """From now on, a disk that is there fails by these rules of QEMU's blkdebug."""
        self.qmp(
            "blockdev-add", **{"driver": "blkdebug", "config": str(rules), "image": disk.id, "node-name": "faults"}
        )
        self.qmp("qom-set", path=f"/machine/peripheral/{disk.id}-dev", property="drive", value="faults")

    def stall(self, disk: Disk, stalled: bool = True) -> None:
        """From now on a virtio disk answers nothing, for hours; or it answers again."""
        limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"), 0)
        backend = f"/machine/peripheral/{disk.id}-dev/virtio-backend"
        self.qmp("block_set_io_throttle", id=backend, **{**limits, "bps": int(stalled)})

    def save(self, state: Path) -> None:
        """Stop the machine and write its state; an equal machine with `incoming` can `resume` from it."""
        self.qmp("stop")
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self.qmp("migrate", uri=f"file:{state}")
        self._wait_for_migration()

    def resume(self, state: Path) -> None:
        """Go on from a state that `save` wrote."""
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        self.qmp("migrate-incoming", uri=f"file:{state}")
        self._wait_for_migration()
        self.qmp("cont")

    def _wait_for_migration(self) -> None:
        def look() -> str | None:
            states = [e["data"]["status"] for e in self._qmp_said if e.get("event") == "MIGRATION"]
            return next((state for state in states if state in ("completed", "failed")), None)

        assert self._wait("the end of a migration", look, QMP_LIMIT_S) == "completed"

    # Talking to it

    def qmp(self, command: str, **arguments: object) -> Any:
        """Ask QEMU; AssertionError with its own words if it says no."""
        number = next(self._numbers)
        request = {"execute": command, "arguments": arguments, "id": number}
        self._qmp_end.sendall(json.dumps(request).encode() + b"\n")

        def look() -> Event | None:
            return next((said for said in self._qmp_said if said.get("id") == number), None)

        answer = self._wait(f"QEMU's answer to {command}", look, QMP_LIMIT_S)
        assert "error" not in answer, f"QEMU refuses {command} {arguments}: {answer['error']['desc']}"
        return answer["return"]

    def wait_for_qmp(self, event: str, limit_s: float, **data: object) -> Event:
        """The first event of that name, and with that data, from QEMU itself."""

        def look() -> Event | None:
            events = (said for said in self._qmp_said if said.get("event") == event)
            return next((said for said in events if data.items() <= said.get("data", {}).items()), None)

        return self._wait(f"QEMU's event {event} {data or ''}", look, limit_s)

    def reset(self) -> None:
        """The reset button of a machine that was stopped, which goes on once QEMU has reset all of it."""
        before = self._resets()
        self.qmp("system_reset")
        self._wait("QEMU's reset", lambda: self._resets() > before or None, QMP_LIMIT_S)
        self.qmp("cont")

    def _resets(self) -> int:
        return sum(said.get("event") == "RESET" for said in self._qmp_said)

    def type(self, text: str) -> None:
        """Press keys on the serial console."""
        self._console_end.sendall(text.encode())

    def shell(self, command: str, limit_s: float = 60, check: bool = True) -> str:
        """What a command prints in a root shell on the second serial port (systemd.debug_shell=ttyS1)."""
        if not self._shell_ready:
            self._wait_for_shell(limit_s)
        mark = f"MARK{next(self._numbers)}"
        line = f"( {command}\n) </dev/null; echo; echo {mark[:2]}''{mark[2:]}=$?\n"
        self._shell_end.sendall(line.encode())
        output, status = self._wait_in_shell(rf"((?:.*\n)*?)\n?{mark}=(\d+)\n", limit_s, command)
        assert status == "0" or not check, f"{shlex.quote(command)} exited with {status}: {output}"
        return output

    def _wait_for_shell(self, limit_s: float) -> None:
        """Greet until the shell answers: what comes before it reads is lost."""
        deadline = time.monotonic() + limit_s
        while not self._shell_ready:
            greeting = f"READY-{next(self._numbers)}"
            line = f"stty -echo; PS1=; PS2=; unset PROMPT_COMMAND; echo {greeting[:2]}''{greeting[2:]}\n"
            self._shell_end.sendall(line.encode())
            try:
                self._wait_in_shell(rf"{greeting}()()\n", GREETING_LIMIT_S, "a root shell on ttyS1")
                self._shell_ready = True
            except TimedOut:
                if time.monotonic() > deadline:
                    raise

    def _wait_in_shell(self, pattern: str, limit_s: float, what: str) -> tuple[str, str]:
        wanted = re.compile(pattern)
        match = self._wait(f"the end of {what!r}", lambda: self.shell_console.find(wanted), limit_s)
        return match.group(1), match.group(2)

    # Inside

    def _log(self, what: str) -> Path:
        self.work_dir.mkdir(parents=True, exist_ok=True)
        return self.work_dir / f"{self.name}-{what}.log"

    @staticmethod
    def _make_logs(*disks: Disk) -> None:
        for disk in disks:
            if disk.write_log:
                disk.write_log.write_bytes(b"")

    def _start(self) -> subprocess.Popen[bytes]:
        self._make_logs(*self.hardware.disks)
        words = arguments(self.hardware, self.work_dir, self.ssh.port)
        handed: list[socket.socket] = []

        def channel(name: str, on_bytes: Callable[[bytes], None]) -> socket.socket:
            ours, theirs = socket.socketpair()
            handed.append(theirs)
            words.extend(["-chardev", f"socket,id={name},fd={theirs.fileno()}"])
            self._watch.add(ours, on_bytes)
            return ours

        self._console_end = channel("console", self.console.feed)
        self._shell_end = channel("shell", self.shell_console.feed)
        self._qmp_end = channel("qmp", Lines(self._on_qmp_line).feed)
        self._report_end = channel("report", Lines(self._on_report_line).feed)
        words += [
            "-serial",
            "chardev:console",
            "-serial",
            "chardev:shell",
            "-mon",
            "chardev=qmp,mode=control",
        ]
        words += ["-device", "virtserialport,chardev=report,name=org.autoinstall.report.0"]
        self._log("qemu").write_text(shlex.join(words) + "\n")
        with self._log("qemu").open("ab") as log:
            descriptors = [end.fileno() for end in handed]
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=descriptors)
        for end in handed:
            end.close()
        self._process = process
        self._watch.start()
        try:
            self._wait("QEMU's greeting", lambda: self._qmp_said or None, QMP_LIMIT_S)
        except (Ended, TimedOut) as error:
            process.kill()
            error.add_note(self._log("qemu").read_text())
            raise
        self.qmp("qmp_capabilities")
        return process

    def _on_qmp_line(self, line: bytes) -> None:
        self._qmp_said.append(json.loads(line))

    def _on_report_line(self, line: bytes) -> None:
        with self._log("report").open("ab") as log:
            log.write(line + b"\n")
        event = json.loads(line)
        self.events.append(event)
        if self._on_event:
            self._on_event(event)
