"""Words from elsewhere: the file that a line names, and systemd's credentials."""

from __future__ import annotations

import errno
import os
import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from autoinstall import grammar_sources as grammar
from autoinstall import install as story
from autoinstall import mounts, sources
from autoinstall.cmdline import Word, parse
from autoinstall.errors import BadWords, Refused, TookTooLong
from autoinstall.facts import Facts
from autoinstall.grammar_sources import OnMedium
from autoinstall.host import Host
from autoinstall.parameters import PARAMETERS
from autoinstall.report.events import Ending, Result
from tests.unit.machines import HASH, MACHINE
from tests.unit.test_install import Paper

UNIT = Path(__file__).resolve().parents[2] / "units/autoinstall.service"
OTHER_HASH = HASH.replace("a" * 86, "b" * 86)
LINE = "storage_init autoinstall.words=LABEL=WORDS:/node.words quiet autoinstall.end"


class Patient(Host):
    """A host that does not wait."""

    def wait_for(self, what: str, holds: Callable[[], bool], limit_s: float, interval_s: float = 0) -> None:
        if not holds():
            raise TookTooLong(what)


@pytest.fixture
def medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A medium with the label WORDS."""
    (tmp_path / "by-label").mkdir()
    (tmp_path / "by-label/WORDS").touch()
    (tmp_path / "WORDS").mkdir()

    @contextmanager
    def mounted(host: Host, device: str, *options: str, filesystems: Sequence[str]) -> Iterator[Path]:
        assert options == ("ro",)
        yield tmp_path / Path(device).name

    monkeypatch.setattr(sources, "BY_LABEL", tmp_path / "by-label")
    monkeypatch.setattr(sources, "mounted", mounted)
    return tmp_path / "WORDS"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this run's credentials are."""
    place = tmp_path / "credentials"
    place.mkdir()
    monkeypatch.setattr(sources, "SYSTEM_CREDENTIALS", place)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    return place


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("LABEL=AI-1234:/a/b", OnMedium("AI-1234", "/a/b")),
        ("https://boot.example/node7.words", "https://boot.example/node7.words"),
        ("http://boot.example/words", None),
        ("LABEL=A:b", None),
        ("LABEL=../A:/b", None),
        ("LABEL=A:/../etc/shadow", None),
        ("/words", None),
        (None, None),
    ],
)
def test_where_words_may_come_from(text: str | None, value: object) -> None:
    if value is None:
        with pytest.raises(ValueError):
            grammar.words(text)
    else:
        assert grammar.words(text) == value


def test_the_words_of_the_file_stand_in_the_place_of_the_word(medium: Path) -> None:
    (medium / "node.words").write_text('# node 7\n\nhostname=node7\n  autoinstall.id="a b"\nmitigations=off\n')
    names = [str(word) for word in sources.with_file(parse(LINE), Patient())]
    assert names[0] == "storage_init"
    assert names[2:] == ["hostname=node7", 'autoinstall.id="a b"', "mitigations=off", "quiet", "autoinstall.end"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rescue", "line 1: rescue must stand on the kernel command line itself"),
        ("\nautoinstall.on-failure=hold", "line 2: autoinstall.on-failure must stand on the kernel command line"),
        ("autoinstall.words=LABEL=A:/b", "autoinstall.words must stand"),
        ("a b", "more than one word"),
        ("foo=bar", "foo is no word of ours, and nobody else reads this file"),
        ('\nhostname="a', "words: line 2: holds a double quote"),
        ("hostname=a\x07\nhostname", "words: line 1: holds a control character"),
        (HASH, "line 1: this is no word of ours"),
        ("x" * 70000, "more than 65536 bytes"),
    ],
)
def test_what_no_such_file_may_hold_is_refused(medium: Path, text: str, says: str) -> None:
    (medium / "node.words").write_text(text)
    with pytest.raises((BadWords, Refused), match=says) as caught:
        sources.with_file(parse(LINE), Patient())
    assert HASH not in str(caught.value)


def test_the_mark_that_some_editors_begin_a_file_with_is_no_part_of_its_first_word(medium: Path) -> None:
    (medium / "node.words").write_text("hostname=node7\r\n", encoding="utf-8-sig")
    assert Word("hostname", "node7") in sources.with_file(parse(LINE), Patient())


def test_a_medium_or_a_file_that_is_not_there_is_refused(medium: Path) -> None:
    with pytest.raises(Refused, match=r"/node\.words on WORDS: No such file"):
        sources.with_file(parse(LINE), Patient())
    with pytest.raises(Refused, match="no medium has the label OTHER"):
        sources.with_file(parse("autoinstall.words=LABEL=OTHER:/a"), Patient())


def test_a_medium_that_cannot_be_mounted_is_a_refusal_for_nothing_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drive(Patient):
        def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "WORDS").touch()
    monkeypatch.setattr(sources, "BY_LABEL", tmp_path)
    monkeypatch.setattr(mounts, "MOUNT_ROOT", tmp_path / "mnt")
    with pytest.raises(Refused, match=r"autoinstall.words: mounting \S*WORDS: Invalid argument") as caught:
        sources.with_file(parse(LINE), Drive())
    assert "vfat, ext4 or iso9660" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBUSY])
def test_the_medium_may_be_an_iso_also_the_one_that_booted(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux looks for no other filesystem on what is mounted: it is busy."""

    class Drive(Patient):
        def mount(self, device: str, where: Path, filesystem: tuple[str, str], flags: int) -> None:
            if filesystem[0] != "iso9660":
                raise OSError(number, os.strerror(number))
            (where / "node.words").write_text("hostname=node7\n")

        def unmount(self, where: Path) -> None:
            """There is nothing to let go of."""

    (tmp_path / "WORDS").touch()
    monkeypatch.setattr(sources, "BY_LABEL", tmp_path)
    monkeypatch.setattr(mounts, "MOUNT_ROOT", tmp_path / "mnt")
    assert Word("hostname", "node7") in sources.with_file(parse(LINE), Drive())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhostname=node7\n", "the answer ended 84 bytes too early"),
        (b"storage_init\r\n\r\n", "storage_init"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://[oops/x\r\n\r\n", "Invalid IPv6 URL"),
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_no_file(
    answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        here = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(urllib.request, "urlopen", partial(_instead, urllib.request.urlopen, here))
        monkeypatch.setattr(sources, "BUNDLE", Path("/"))
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(Refused, match=rf"boot\.example/words cannot be fetched: .*{says}"):
            sources.with_file(parse("autoinstall.words=https://boot.example/words"), Patient())
        thread.join()


def _instead(urlopen: Callable[..., object], here: str, url: str, timeout: float) -> object:
    return urlopen(here, timeout=timeout)


def test_a_credential_wins_over_the_word(given: Path) -> None:
    (given / "autoinstall.adminpw").write_text(f"{HASH}\n")
    words = sources.with_credentials(
        parse(f"quiet adminpw={OTHER_HASH} autoinstall.adminpw={OTHER_HASH} storage_init")
    )
    assert words == (Word("adminpw", HASH), Word("quiet"), Word("storage_init"))


@pytest.mark.parametrize("unit", [None, "getty@tty1.service"])
def test_typed_in_a_shell_the_credentials_are_those_of_the_machine(
    unit: str | None, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given / "autoinstall.adminpw").write_text(HASH)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    if unit:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given.with_name(unit)))
    assert sources.with_credentials(parse("storage_init")) == (Word("adminpw", HASH), Word("storage_init"))


def test_what_is_not_a_secret_of_ours_is_no_credential(given: Path) -> None:
    (given / "autoinstall.hostname").write_text("node7")
    (given / "other.hostname").write_text("node7")
    with pytest.raises(BadWords) as caught:
        sources.with_credentials(())
    assert caught.value.reasons == ("credential autoinstall.hostname: there is no secret word of that name",)


def test_the_unit_asks_for_the_credential_of_each_secret_word() -> None:
    asked = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith("LoadCredential=")]
    assert sorted(asked) == sorted(
        f"autoinstall.{row.name.removeprefix('autoinstall.')}" for row in PARAMETERS if row.secret
    )


def test_all_sources_make_one_request_and_no_secret_is_said(
    medium: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given / "autoinstall.rootpw").write_text(OTHER_HASH)
    (medium / "node.words").write_text(f"adminpw={HASH}\nautoinstall.after=poweroff\nautoinstall.dry_run\n")
    seen: list[Facts] = []

    def probe(*_: object) -> Facts:
        seen.append(MACHINE)
        return MACHINE

    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", probe)
    paper = Paper()
    result = story.install(LINE, Patient(), [paper])
    assert (result.ending, seen) == (Ending.PLANNED, [MACHINE])
    assert "adminpw=*** autoinstall.after=poweroff" in paper.text
    assert not [secret for secret in ("a" * 86, "b" * 86) if secret in paper.text + str(result.to_json())]
    assert story.unit_for(paper.words, Result(Ending.PLANNED, 0)) is None


def test_the_machine_is_left_as_the_file_says(medium: Path) -> None:
    (medium / "node.words").write_text("autoinstall.after=poweroff\n")
    words = sources.with_file(parse(LINE), Patient())
    assert story.unit_for(words, Result(Ending.INSTALLED, 0)) == "autoinstall-poweroff.service"
