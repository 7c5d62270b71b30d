"""Who made an image: what gpgv says of a signature, and what counts."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from email.message import Message
from io import BytesIO
from pathlib import Path
from urllib.error import HTTPError

import pytest

from autoinstall import block, live, probe
from autoinstall import install as story
from autoinstall.cmdline import parse
from autoinstall.errors import EXIT_HERE, ImageInvalid, NotTrusted, ToolMissing
from autoinstall.facts import LiveImage
from autoinstall.host import USUAL, Completed, Host, Run, missing
from autoinstall.image import signature
from autoinstall.image.manifest import MANIFEST_NAME, SIGNATURE_NAME
from autoinstall.image.signature import Papers, checked, read_papers, verdict
from autoinstall.node import staging
from autoinstall.report.sinks import Memory
from autoinstall.steps import image as image_step
from autoinstall.steps.image import SlotImage
from tests.keys import Keys
from tests.unit.machines import MACHINE, MANIFEST
from tests.unit.signed import DAY_OF_OLD, MANIFEST_BYTES, YEARS_AHEAD, fingerprint, keyring, keys, place_image
from tests.unit.test_upgrade_steps import PART, SLOT

__all__ = ["keyring", "keys"]
GOOD_SAYS = "[GNUPG:] GOODSIG 77C9A0405785C9B5 builder\n[GNUPG:] VALIDSIG F1A8 2026-11-23 1 0 4 0 22 8 00 F1A8\n"


def signed(keys: Keys, how: str) -> bytes | None:
    """What lies beside the manifest."""
    good = keys.sign("builder", MANIFEST_BYTES)
    ways: dict[str, Callable[[], bytes | None]] = {
        "good": lambda: good,
        "armored": lambda: keys.sign("builder", MANIFEST_BYTES, "-ab"),
        "ahead": lambda: keys.sign("ahead", MANIFEST_BYTES, when=YEARS_AHEAD),
        "swapped": lambda: keys.sign("builder", MANIFEST_BYTES.replace(b'"1.0"', b'"1.1"')),
        "unknown": lambda: keys.sign("stranger", MANIFEST_BYTES),
        "inline": lambda: keys.sign("builder", MANIFEST_BYTES, "--sign"),
        "clear-signed": lambda: keys.sign("builder", MANIFEST_BYTES, "--clear-sign"),
        "literal": lambda: keys.gpg("--store", data=MANIFEST_BYTES),
        "empty": lambda: b"",
        "truncated": lambda: good[:-1],
        "expired": lambda: keys.sign("old", MANIFEST_BYTES, when=DAY_OF_OLD),
        "revoked": (keys.home / SIGNATURE_NAME).read_bytes,
        "mixed": lambda: good + keys.sign("stranger", MANIFEST_BYTES),
        "twice": lambda: good + good,
        "unsigned": lambda: None,
    }
    return ways[how]()


@pytest.mark.runs_programs
@pytest.mark.parametrize(("how", "name"), [("good", "builder"), ("armored", "builder"), ("ahead", "ahead")])
def test_a_good_signature_tells_who_made_it_also_to_a_clock_that_is_behind(
    keys: Keys, keyring: Path, how: str, name: str
) -> None:
    signer = checked(Papers(MANIFEST_BYTES, signed(keys, how)), Host(), keyring)
    assert signer == f"{name} ({fingerprint(keys, name)[-16:]})"
    assert signature.told(signer) == f"the image is signed by {signer}"


NO_SIGNATURE = r"manifest\.json\.sig (holds none|is not one good signature of the image, and nothing else)$"
"""gpgv of Debian 12 and of 13 differ in their words."""
REFUSED = {
    "swapped": r"does not count: the manifest is not the one that builder \([0-9A-F]{16}\) signed",
    "unknown": r"does not count: the key [0-9A-F]{16} is not one of this system's, or cannot be checked with",
    "inline": NO_SIGNATURE,
    "clear-signed": NO_SIGNATURE,
    "literal": NO_SIGNATURE,
    "empty": NO_SIGNATURE,
    "truncated": NO_SIGNATURE,
    "expired": r"does not count: the key of old \([0-9A-F]{16}\) has expired",
    "revoked": r"does not count: the key of gone \([0-9A-F]{16}\) was revoked",
    "mixed": r"does not count: the key [0-9A-F]{16} is not one of this system's",
    "twice": "is not one good signature of the image, and nothing else",
    "unsigned": r"^the image is not signed: there is no manifest\.json\.sig beside its manifest$",
}


@pytest.mark.runs_programs
@pytest.mark.parametrize("how", REFUSED)
def test_what_is_no_good_signature_is_refused_and_said_why(keys: Keys, keyring: Path, how: str) -> None:
    with pytest.raises(NotTrusted, match=REFUSED[how]) as caught:
        checked(Papers(MANIFEST_BYTES, signed(keys, how)), Host(), keyring)
    assert caught.value.exit_code == EXIT_HERE
    assert "from who makes it" in caught.value.hint


REFUSING = ("EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG", "ERRSIG", "NODATA")


@pytest.mark.parametrize(
    "more",
    [
        *(f"[GNUPG:] {word} 77C9A0405785C9B5 builder" for word in REFUSING),
        "[GNUPG:] NODATA",
        "[GNUPG:] GOODSIG 77C9A0405785C9B5 builder",
        "[GNUPG:] VALIDSIG F1A8",
    ],
)
def test_nothing_beside_one_good_signature_counts(more: str) -> None:
    assert verdict(0, GOOD_SAYS) == "builder (77C9A0405785C9B5)"
    for said in (f"{GOOD_SAYS}{more}\n", f"{more}\n{GOOD_SAYS}"):
        with pytest.raises(NotTrusted):
            verdict(0, said)


@pytest.mark.parametrize(
    ("status", "said"),
    [(1, GOOD_SAYS), (2, GOOD_SAYS), (0, ""), *((0, line) for line in GOOD_SAYS.splitlines()), (0, f" {GOOD_SAYS}")],
)
def test_less_than_one_good_signature_does_not_count(status: int, said: str) -> None:
    with pytest.raises(NotTrusted):
        verdict(status, said)


def test_a_system_without_keys_takes_any_image_and_says_so(tmp_path: Path) -> None:
    for papers in (Papers(b"{}"), Papers(b"{}", b"no signature")):
        assert checked(papers, Host(), tmp_path / "keys.gpg") == ""
    assert signature.told("") == "who made the image is not checked: this system has no keys"


def test_a_system_with_keys_and_without_gpgv_takes_none(tmp_path: Path) -> None:
    class Without(Host):
        def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
            raise missing(str(argv[0]), doing)

    (tmp_path / "keys.gpg").touch()
    with pytest.raises(ToolMissing, match="gpgv is not installed"):
        checked(Papers(b"{}", b"x"), Without(), tmp_path / "keys.gpg")


# Where an image is taken


class Judge(Host):
    """A host whose gpgv finds good what is signed `yes`; it has seen which bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        sig, data = (Path(word).read_bytes() for word in argv[-2:])
        self.seen.append(data)
        return Completed(0, GOOD_SAYS if sig == b"yes" else "", "")


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """The host of a system with keys."""
    (tmp_path / "keys.gpg").touch()
    monkeypatch.setattr(signature.checked, "__defaults__", (tmp_path / "keys.gpg",))
    return Judge()


def test_the_image_of_a_medium_is_taken_where_its_signature_is_good(judge: Judge, tmp_path: Path) -> None:
    place = place_image(tmp_path / "image", b"yes")
    found = probe.live_image(judge, place)
    assert found == LiveImage(str(place), MANIFEST, "builder (77C9A0405785C9B5)")
    assert judge.seen == [MANIFEST_BYTES]
    for sig in (b"no", None):
        (place / SIGNATURE_NAME).unlink()
        with pytest.raises(NotTrusted):
            probe.live_image(judge, place_image(place, sig))


def test_an_upgrade_takes_a_directory_where_its_signature_is_good(judge: Judge, tmp_path: Path) -> None:
    place = place_image(tmp_path / "image", b"yes")
    with ExitStack() as stack:
        offer = staging.look_at(str(place), judge, stack)
        assert (offer.manifest, offer.signer) == (MANIFEST, "builder (77C9A0405785C9B5)")
        place_image(place, b"no")
        with pytest.raises(NotTrusted):
            staging.look_at(str(place), judge, stack)


class Answer(BytesIO):
    """A server's answer that says how long it is."""

    @property
    def length(self) -> int:
        return len(self.getvalue()) - self.tell()


def served(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes | int]) -> None:
    """A server without a network, that answers with these bytes or statuses."""

    def urlopen(url: str, timeout: float) -> Answer:
        answer = files[url.rpartition("/")[2]]
        if isinstance(answer, int):
            raise HTTPError(url, answer, "no", Message(), None)
        return Answer(answer)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_an_upgrade_takes_a_url_where_its_signature_is_good_and_stages_that(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://192.0.2.1/node"
    with ExitStack() as stack:
        served(monkeypatch, {MANIFEST_NAME: MANIFEST_BYTES, SIGNATURE_NAME: b"yes", "vmlinuz": 404})
        offer = staging.look_at(url, judge, stack)
        with pytest.raises(ImageInvalid):
            staging.Fetch(offer, tmp_path / "stage").apply(judge)
        assert read_papers(tmp_path / "stage") == Papers(MANIFEST_BYTES, b"yes")
        refused: dict[bytes | int, tuple[type[Exception], str]] = {
            b"no": (NotTrusted, "not one good signature"),
            404: (NotTrusted, "the image is not signed"),
            403: (NotTrusted, "the image is not signed"),
            503: (ImageInvalid, r"manifest\.json\.sig cannot be fetched: .*503"),
            bytes(signature.LARGEST_BYTES + 1): (ImageInvalid, "more than the 65536 bytes"),
        }
        for answer, (kind, says) in refused.items():
            served(monkeypatch, {MANIFEST_NAME: MANIFEST_BYTES, SIGNATURE_NAME: answer})
            with pytest.raises(kind, match=says):
                staging.look_at(url, judge, stack)


def test_a_live_system_of_the_network_fetches_the_signature_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FETCHED", tmp_path)
    monkeypatch.setattr(live, "NETWORK_LIMIT_S", 0)
    (tmp_path / live.ROOT_IMAGE).symlink_to("/dev/loop0")
    monkeypatch.setattr(live, "booted_words", lambda host: parse("root=live:http://192.0.2.1/node/root.squashfs"))
    files: dict[str, bytes | int] = {MANIFEST_NAME: b"{}", "vmlinuz": b"", "initrd.img": b""}
    served(monkeypatch, {**files, SIGNATURE_NAME: b"yes"})
    assert read_papers(live.find_image(Host())) == Papers(b"{}", b"yes")
    served(monkeypatch, {**files, SIGNATURE_NAME: 404})
    assert read_papers(live.find_image(Host())) == Papers(b"{}")
    served(monkeypatch, {**files, SIGNATURE_NAME: 503})
    with pytest.raises(ImageInvalid, match="503"):
        live.find_image(Host())
    served(monkeypatch, {**files, MANIFEST_NAME: 404})
    with pytest.raises(ImageInvalid, match="404"):
        live.find_image(Host())


@pytest.fixture
def slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is mounted of the slot that is written."""
    place = tmp_path / "slot"
    place.mkdir()
    digests = iter([file.sha256 for file in MANIFEST.files] * 9)
    monkeypatch.setattr(image_step, "mounted", lambda *_: nullcontext(place))
    monkeypatch.setattr(block, "partition_path", lambda disk, number: f"{disk}{number}")
    monkeypatch.setattr(block, "write_file_direct", lambda path, pieces: None)
    monkeypatch.setattr(image_step, "_digest", lambda pieces: next(digests))
    monkeypatch.setattr(block, "chunks_direct", lambda path: None)
    return place


def test_a_slot_keeps_the_signature_and_the_manifest_that_was_checked(slot: Path, tmp_path: Path) -> None:
    source = place_image(tmp_path / "image", b"yes")
    step = SlotImage(LiveImage(str(source), MANIFEST), SLOT, PART, "/dev/vda")
    step.apply(Host())
    assert read_papers(slot) == Papers(MANIFEST_BYTES, b"yes")
    assert step.why_not_done(Host()) == ""
    (slot / SIGNATURE_NAME).write_bytes(b"no")
    assert "read back, is not what was written" in step.why_not_done(Host())
    for place in (slot, source):  # the medium tells another thing each time it is read
        place_image(place, b"yes")
        (place / MANIFEST_NAME).write_bytes(
            MANIFEST_BYTES.replace(b'"security_version": 1', b'"security_version": 9')
        )
    assert "is another than the one that was checked" in step.why_not_done(Host())


@pytest.mark.parametrize(("signer", "says"), [("builder", "signed by builder"), ("", "is not checked")])
def test_an_install_says_once_who_made_its_image(monkeypatch: pytest.MonkeyPatch, signer: str, says: str) -> None:
    lines: list[str] = []

    class Said(Memory):
        def say(self, text: str) -> None:
            lines.append(text)

    assert MACHINE.image
    facts = replace(MACHINE, image=replace(MACHINE.image, signer=signer))
    monkeypatch.setattr(story, "find_image", lambda *_: Path("/nowhere"))
    monkeypatch.setattr(story, "wait_for_asked", lambda *_: None)
    monkeypatch.setattr(story, "probe", lambda *_: facts)
    story.install("storage_init autoinstall.dry_run", Host(), [Said()])
    assert [says in line for line in lines].count(True) == 1
