"""The story: asked, is, decided, made true, told."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from autoinstall import advice, cmdline
from autoinstall.carry import carry_out
from autoinstall.chosen import staying
from autoinstall.cmdline import Word
from autoinstall.conclude import concluded
from autoinstall.delivery import deliver, node_name
from autoinstall.drawing import removal_text, to_text
from autoinstall.errors import EXIT_OK, AutoinstallError, Refused
from autoinstall.execute import execute, paced
from autoinstall.facts import Facts
from autoinstall.fromedium import upgrade_from_medium
from autoinstall.grammar import After, FailureAction, Installed
from autoinstall.grammar_sources import Break, LogLevel
from autoinstall.host import Host, Run
from autoinstall.image import signature
from autoinstall.live import KERNEL_COMMAND_LINE, find_image, only_run
from autoinstall.livenet import use_address
from autoinstall.localboot import kexec_or_reboot, load_either
from autoinstall.marks import our_table
from autoinstall.node.name import stored_name
from autoinstall.node.ondisk import node_on
from autoinstall.pin import digest, refuse_another, refuse_unpinned, removal_digest
from autoinstall.plan import Decision, Plan, make_plan, to_json
from autoinstall.probe import probe, wait_for_asked
from autoinstall.report.events import Ending, Event, Kind, Result
from autoinstall.report.http import Servers
from autoinstall.report.sinks import (
    Consoles,
    Memory,
    Printed,
    Sink,
    alive,
    everywhere,
    on_a_console,
    ready,
    say,
    tell,
    warn,
)
from autoinstall.request import Action, Request, on_failure_from, redacted, request_from, rescue_asked
from autoinstall.signals import end_no_more, end_when_told
from autoinstall.slots import Slot
from autoinstall.sources import refuse_https, with_credentials, with_file, with_keys
from autoinstall.stateless import Application, make_application
from autoinstall.steps import install_steps, removal_steps
from autoinstall.steps.image import Hashing
from autoinstall.steps.settings import ApplySettings
from autoinstall.telling import Telling, telling_from
from autoinstall.uninstall import Removal, make_removal
from autoinstall.uninstall import to_json as removal_json

BREAK = Path("/run/autoinstall/break")
"""Is there as long as BREAK_UNIT has a shell."""
BREAK_UNIT = "autoinstall-break.service"

HOW_TO_INSTALL = """\
This is autoinstall, running from its medium. No disk was touched.
To install this machine, boot again with storage_init on the kernel command line, for instance:
  storage_init BOOTIF=link autoinstall.ssh_key=ssh-ed25519:AAAA…"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `autoinstall install`."""
    parser.add_argument("--cmdline", metavar="WORDS", help="do what these words ask (default: the kernel's own)")


def main(args: argparse.Namespace, host: Host) -> int:
    """Do what the line asks, tell how it ended, and leave the machine as the line says. Raises as `only_run`."""
    with only_run(host):
        return _told_run(args.cmdline, host)


def _told_run(given: str | None, host: Host) -> int:
    told, servers = Memory(), Servers()
    sinks: tuple[Sink, ...] = (told, servers, *everywhere())
    if given is not None and not on_a_console():
        sinks = (*sinks, Printed())
    ready()
    end_when_told("the machine goes down, or somebody ended the run")
    line = host.read_text(KERNEL_COMMAND_LINE) if given is None else given
    result = install(line, host, sinks)
    end_no_more()
    warn(deliver(result, told, servers, host), host, sinks, "report")
    for sink in sinks:
        sink.result(result)
    unit = unit_for(told.words, result) if told.words else leaving_unit(line, result)
    if unit:
        with _said():
            _break_at(Break.PRE_REBOOT, host, sinks)
        _leave(unit, host)
    return result.exit_code


def install(line: str, host: Host, sinks: Sequence[Sink]) -> Result:
    """One run from its line to its result. Whatever happens, there is exactly one result."""
    return concluded(lambda: _run(line, host, sinks), sinks)


def _run(line: str, host: Host, sinks: Sequence[Sink]) -> Result:
    words = cmdline.parse(line)
    _say_as_much(telling_from(words), host, sinks)
    say(f"command line: {redacted(words)}", sinks)
    warn(advice.warnings(line, words), host, sinks)
    if rescue_asked(words):
        warn(request_from(words).warnings, host, sinks)
        return _nothing_asked(sinks)
    words = _all_words(words, host, sinks)
    telling = telling_from(words)
    _say_as_much(telling, host, sinks)
    _begin(telling, sinks)
    cmdline.refuse_cut(line)
    request = request_from(words)
    refuse_https(words)
    if request.action is Action.NONE:
        return _nothing_asked(sinks)
    _break_at(Break.PRE_INSTALLER, host, sinks)
    host.progress = _progress("fetch", "Fetching the image", host, sinks)
    image = find_image(host)
    hashing = Hashing(image) if request.action is Action.INSTALL else None
    facts = _facts(request, image, host, sinks)
    if request.action is not Action.INSTALL:
        warn(request.warnings, host, sinks)
    if request.action is Action.STATELESS:
        use_address(request, facts, host)
        return _apply(make_application(with_keys(request, host), facts), host, sinks)
    _use_address(request, facts, host, sinks)
    if request.action is Action.UNINSTALL:
        return _uninstall(request, make_removal(request, facts), host, sinks)
    if request.action is Action.UPGRADE:
        return _upgrade(request, facts, host, sinks)
    plan = make_plan(request, facts)
    if request.key_urls and plan.decision is Decision.INSTALL:
        request = with_keys(request, host)
        plan = make_plan(request, facts)
    warn(plan.warnings, host, sinks)
    say(to_text(plan), sinks)
    if plan.decision is Decision.ALREADY_INSTALLED:
        return _already_installed(plan, host, sinks)
    refuse_another(request, plan)
    if plan.dry_run:
        return Result(Ending.PLANNED, EXIT_OK, detail={"plan": to_json(plan), "plan_digest": digest(plan)})
    return _execute(plan, host, sinks, hashing)


def _nothing_asked(sinks: Sequence[Sink]) -> Result:
    say(HOW_TO_INSTALL, sinks)
    return Result(Ending.NONE, EXIT_OK)


def _facts(request: Request, image: Path, host: Host, sinks: Sequence[Sink]) -> Facts:
    """What this machine is, once the disk and the NIC that are asked for are there."""
    host.progress = _progress("wait", "Waiting for what the line names", host, sinks)
    wait_for_asked(request, host, lambda text: say(text, sinks))
    facts = probe(host, image)
    if facts.image and request.action in (Action.INSTALL, Action.UPGRADE):
        say(signature.told(facts.image.signer), sinks)
    return facts


def _use_address(request: Request, facts: Facts, host: Host, sinks: Sequence[Sink]) -> None:
    """The address of the line, for its servers; where it cannot be had, a node that stays is booted all the same."""
    try:
        use_address(request, facts, host)
    except Refused as refused:
        if request.action is not Action.INSTALL or not staying(request, facts.disks):
            raise
        warn(refused.reasons, host, sinks)


def _begin(telling: Telling, sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        if isinstance(sink, Servers):
            sink.begin(telling.urls)


def _say_as_much(telling: Telling, host: Host, sinks: Sequence[Sink]) -> None:
    for sink in sinks:
        if isinstance(sink, Consoles):
            sink.level = telling.level
    if telling.level is LogLevel.DEBUG:
        host.trace = lambda line: say(f"run: {line}", sinks)


def _break_at(where: Break, host: Host, sinks: Sequence[Sink]) -> None:
    """A root shell on the console, where the words ask for it; goes on when that has ended."""
    if where not in telling_from(Memory.among(sinks).words).breaks:
        return
    warn([f"autoinstall.break={where.value}: a root shell; leave it, and the run goes on"], host, sinks, "break")
    BREAK.parent.mkdir(exist_ok=True)
    BREAK.touch()
    host.run("systemctl", "start", "--no-block", BREAK_UNIT, doing="opening a shell", how=Run(timeout_s=60))

    def ended() -> bool:
        alive()
        return not BREAK.exists()

    host.wait_for("the end of the shell", ended, math.inf)


def _break_after(host: Host, sinks: Sequence[Sink]) -> None:
    """The shell behind what was done, which no shell undoes that cannot be opened, or is ended."""
    try:
        _break_at(Break.POST_INSTALLER, host, sinks)
    except (AutoinstallError, OSError) as error:
        warn([f"autoinstall.break={Break.POST_INSTALLER.value}: {error}"], host, sinks, "break")


def _all_words(words: tuple[Word, ...], host: Host, sinks: Sequence[Sink]) -> tuple[Word, ...]:
    """The words of the line, of the file that it names, and of credentials."""
    told = Memory.among(sinks)
    told.words = words
    more = with_file(words, host)
    if len(more) > len(words):
        say(f"with the words of the file: {redacted(more)}", sinks)
    told.words = with_credentials(more)
    return told.words


def _uninstall(request: Request, removal: Removal, host: Host, sinks: Sequence[Sink]) -> Result:
    say(removal_text(removal), sinks)
    refuse_unpinned(request, removal_digest(removal))
    if removal.dry_run:
        detail = {"removal": removal_json(removal), "plan_digest": removal_digest(removal)}
        return Result(Ending.PLANNED, EXIT_OK, detail=detail)
    tables = []
    for disk in removal.disks:
        table = our_table(disk)
        if table is None and (disk.node or disk.member):
            raise Refused(f"the node on {disk.path} is gone", hint="look at the disk and its cable")
        tables.append((disk, table[1] if table else ()))
    execute(removal_steps(removal, tables), host, lambda event: tell(event, sinks))
    _break_after(host, sinks)
    return Result(Ending.UNINSTALLED, EXIT_OK, tuple(f"{disk.path} is blank" for disk in removal.disks))


def _apply(application: Application, host: Host, sinks: Sequence[Sink]) -> Result:
    """The settings on this system; nobody leaves it."""
    detail = {"files": [file.path for file in application.files], "host_name": application.host_name}
    if application.dry_run:
        return Result(Ending.PLANNED, EXIT_OK, detail=detail)
    execute([ApplySettings(application)], host, lambda event: tell(event, sinks))
    _break_after(host, sinks)
    return Result(Ending.APPLIED, EXIT_OK, ("no disk was touched, and nothing lasts",), detail=detail)


def _upgrade(request: Request, facts: Facts, host: Host, sinks: Sequence[Sink]) -> Result:
    result = upgrade_from_medium(request, facts, host, sinks)
    _break_after(host, sinks)
    return result


def _execute(plan: Plan, host: Host, sinks: Sequence[Sink], hashing: Hashing | None) -> Result:
    told = Memory.among(sinks)
    told.node_name = node_name(plan)
    carry_out(install_steps(plan, told, hashing), host, sinks)
    told.node_disk = plan.target.path
    _break_after(host, sinks)
    left = kexec_or_reboot(plan.target.path, host, sinks) if plan.after is After.KEXEC else {}
    detail = {**told.record, "seconds": told.seconds_of_steps(), **left}
    return Result(Ending.INSTALLED, EXIT_OK, detail=detail)


def _already_installed(plan: Plan, host: Host, sinks: Sequence[Sink]) -> Result:
    """The machine goes on to its node, unless the line says to stay or to switch off.

    By kexec: a reboot could come back to this medium, for ever.
    """
    told, slot = Memory.among(sinks), Slot.A
    reason = f"{plan.target.path} already carries a finished node"
    if plan.installed is Installed.BOOT and not plan.dry_run:
        slot = load_either(host, plan.target.path, sinks)
        told.node_disk = plan.target.path
        reason = f"{reason}; going on to its slot {slot.value}"
    if telling_from(told.words).trigger:
        told.node_name = stored_name(host, node_on(plan.target), slot)
    detail = {"install_id": str(plan.target.node.install_id)} if plan.target.node else {}
    return Result(Ending.ALREADY_INSTALLED, EXIT_OK, (reason,), detail=detail)


def _leave(unit: str, host: Host) -> None:
    """Start the unit that ends this boot."""
    with _said():
        host.run("systemctl", "start", "--no-block", unit, doing=f"starting {unit}", how=Run(timeout_s=60))


@contextmanager
def _said() -> Iterator[None]:
    """What fails once the result was told is said, and no more than that."""
    try:
        yield
    except (AutoinstallError, OSError) as error:
        Consoles.of_this_machine().say(f"autoinstall: leaving this system: {error}")


def leaving_unit(line: str, result: Result) -> str | None:
    """The unit for how a run ended; None to stay. A line too broken to read asks for nothing."""
    try:
        return unit_for(cmdline.parse(line), result)
    except AutoinstallError:
        return None


def unit_for(words: Sequence[Word], result: Result) -> str | None:
    """The unit for how a run with these words ended; None to stay."""
    if result.exit_code:
        wanted = on_failure_from(words)
        if wanted.action is FailureAction.HOLD:
            return None
        instance = f"@{wanted.delay_s}" if wanted.action is FailureAction.REBOOT else ""
        return f"autoinstall-{wanted.action.value}{instance}.service"
    request = request_from(words)
    if request.dry_run:
        return None
    if result.ending in (Ending.ALREADY_INSTALLED, Ending.ROLLED_BACK):
        return _UNIT_OF_INSTALLED[request.installed]
    after = After(result.detail.get("after", request.after))
    if result.ending not in _DONE or after is After.HOLD:
        return None
    instance = f"@{request.reboot_delay_s}" if request.reboot_delay_s else ""
    return f"autoinstall-{after.value}{instance}.service"


_DONE = (Ending.INSTALLED, Ending.UPGRADED, Ending.UNINSTALLED)
_UNIT_OF_INSTALLED = {
    Installed.BOOT: "autoinstall-kexec.service",
    Installed.POWEROFF: "autoinstall-poweroff.service",
    Installed.HOLD: None,
}


def _progress(name: str, what: str, host: Host, sinks: Sequence[Sink]) -> Callable[[int, int], None]:
    """Tells of what takes long beside the steps: the watchdog hears it too."""

    def told(percent: int) -> None:
        tell(Event(name, Kind.PROGRESS, what, host.wall_clock_s(), percent=percent), sinks)

    return paced(told, host)
