"""What a build says when it cannot be, and what it never lets into an image."""

from __future__ import annotations

import argparse
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from autoinstall.errors import EXIT_HERE, BuildFailed, CannotHere, MirrorUnreachable, NoSpace, ToolFailed, ToolMissing
from autoinstall.host import USUAL, Completed, Host, Run
from autoinstall.image import build, cache
from autoinstall.image.cache import Cache, Product, digest
from autoinstall.image.debian import Debian, parse_status, parse_targets, require_mirror, seed_accounts
from autoinstall.image.layers import without_password_expiry
from autoinstall.image.recipe import Recipe, Trim
from autoinstall.image.tree import audit, trim

Usage = namedtuple("Usage", "total used free")
RECIPE: Recipe = build.read_recipe("vm")
APT_SAYS = (
    "asking the mirror: apt-helper exited with 100: E: Failed to fetch http://mirror.invalid/x  "
    "Could not resolve 'mirror.invalid'; E: Download Failed"
)


class Recorded(Host):
    """A host whose programs answer as they are told, and that knows what was run."""

    def __init__(self, **answers: str | Exception) -> None:
        self.answers = answers
        self.ran: list[list[str]] = []

    def run(self, *argv: str | Path, doing: str, how: Run = USUAL) -> Completed:
        self.ran.append([str(word) for word in argv])
        answer = self.answers.get(Path(argv[0]).name.replace("-", "_"), "")
        if isinstance(answer, Exception):
            raise answer
        return Completed(0, answer, "")


def test_a_mirror_that_does_not_answer_is_named_with_the_reason() -> None:
    with pytest.raises(MirrorUnreachable) as caught:
        require_mirror("http://mirror.invalid", "trixie", Recorded(apt_helper=ToolFailed(APT_SAYS)))
    assert str(caught.value) == (
        "the package mirror does not answer: http://mirror.invalid/dists/trixie/InRelease: "
        "Could not resolve 'mirror.invalid'"
    )
    assert "apt-get update" in caught.value.hint


@pytest.mark.runs_programs
def test_a_closed_port_is_a_mirror_that_does_not_answer() -> None:
    with pytest.raises(MirrorUnreachable, match=r"127\.0\.0\.1:1/dists/trixie/InRelease: .*refused"):
        require_mirror("http://127.0.0.1:1", "trixie", Host())


def test_an_apt_that_knows_no_debian_says_so() -> None:
    host = Recorded(apt_get="Ubuntu|http://mirror.invalid/ubuntu|main\n")
    with pytest.raises(CannotHere, match="knows no Debian archive") as caught:
        Debian().sources(RECIPE, host)
    assert "apt-get update" in caught.value.hint


@pytest.mark.parametrize(("recipe", "components"), [("vm", "main"), ("metal", "main non-free-firmware")])
def test_the_sources_are_those_of_apt_for_suite_and_components_of_the_recipe(recipe: str, components: str) -> None:
    targets = (
        "Debian Backports|http://one.invalid/debian|main\n"
        "Debian|http://one.invalid/debian|non-free\n"
        "Debian|http://two.invalid/debian|main\n"
        "Debian-Security|http://two.invalid/security|main\n"
    )
    assert Debian().sources(build.read_recipe(recipe), Recorded(apt_get=targets)) == (
        f"deb http://two.invalid/debian trixie {components}",
        f"deb http://two.invalid/security trixie-security {components}",
    )
    assert parse_targets("") == {}


@pytest.mark.parametrize(
    ("tool", "package"), [("mmdebstrap", "mmdebstrap"), ("xorriso", "xorriso"), ("mcopy", "mtools")]
)
def test_a_missing_tool_is_named_with_its_package(
    tool: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else f"/usr/bin/{name}")
    args = argparse.Namespace(recipe="vm", cmdline="", output=tmp_path / "out")
    with pytest.raises(ToolMissing, match=f"the program {tool} is not installed") as caught:
        build.main(args, Recorded())
    assert caught.value.hint == f"apt-get install {package}"
    assert not args.output.exists()


@pytest.mark.runs_programs
def test_a_program_that_may_not_be_started_is_no_crash(tmp_path: Path) -> None:
    """An ordinary user's `autoinstall facts`, with a directory of root's in PATH, was one."""
    program = tmp_path / "udevadm"
    program.touch(0o644)
    with pytest.raises(ToolMissing, match=r"waiting: the program .*udevadm cannot be started: Permission denied"):
        Host().run(str(program), doing="waiting")


def test_an_ordinary_user_needs_sub_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("os.getuid", lambda: 1000)
    with pytest.raises(ToolMissing, match="newuidmap") as caught:
        build.enter_namespace([])
    assert caught.value.hint == "apt-get install uidmap"
    assert "--map-auto" in build.namespace_command(1000)
    assert "--map-auto" not in build.namespace_command(0)


def test_too_little_room_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 99 << 20))
    with pytest.raises(NoSpace) as caught:
        Cache(tmp_path, Recorded()).get(Product("base", {}, needs_mib=1000), lambda place: pytest.fail("made"))
    assert str(caught.value) == f"building the base: 1000 MiB are needed below {tmp_path}, 99 MiB are free"
    assert caught.value.exit_code == EXIT_HERE


def test_what_was_built_is_not_built_again(tmp_path: Path) -> None:
    made: list[Path] = []
    store = Cache(tmp_path, Recorded())

    def make(place: Path) -> None:
        made.append(place)
        (place / "file").write_text("content")

    first, again = (store.get(Product("base", {"suite": "trixie"}, 0), make) for _ in range(2))
    other = store.get(Product("base", {"suite": "sid"}, 0), make)
    assert first == again != other
    assert len(made) == 2
    assert (first / "file").read_text() == "content"


def test_a_build_that_failed_leaves_nothing(tmp_path: Path) -> None:
    def make(place: Path) -> None:
        (place / "half").touch()
        raise ToolFailed("it broke")

    with pytest.raises(ToolFailed):
        Cache(tmp_path, Recorded()).get(Product("base", {}, 0), make)
    assert [path for path in tmp_path.rglob("*") if path.name not in ("base", ".lock", "scratch")] == []


def test_old_products_go(tmp_path: Path) -> None:
    store = Cache(tmp_path, Recorded())
    places = [store.get(Product("base", {"n": n}, 0), lambda place: None) for n in range(7)]
    assert [place.exists() for place in places[-1:]] == [True]
    assert sum(place.exists() for place in places) == cache.KEPT_ENTRIES


def test_the_digest_tells_names_modes_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = {digest(tmp_path)}
    (tmp_path / "a").chmod(0o755)
    seen.add(digest(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(digest(tmp_path))
    (tmp_path / "b").write_text("y")
    seen.add(digest(tmp_path))
    assert len(seen) == 4


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree that passes."""
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/machine-id").touch()
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/bash\nmessagebus:x:201:201::/:/bin/false\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nmessagebus:x:201:\nkvm:x:224:\nadmin:x:1000:\nnogroup:x:65534:\n")
    (tmp_path / "etc/shadow").write_text("root:*:1::::::\nmessagebus:!*:1::::::\nadmin:!:1::::::\n")
    return tmp_path


def test_a_clean_tree_passes(root: Path) -> None:
    audit(root, RECIPE)


UNFIT = [
    (
        "etc/passwd",
        "dnsmasq:x:105:65534::/:/bin/false\n",
        "a system user that the recipe does not list: dnsmasq = 105",
    ),
    ("etc/passwd", "sshd:x:999:65534::/:/bin/false\n", "a system user that the recipe does not list: sshd = 999"),
    ("etc/group", "docker:x:106:\n", "a system group that the recipe does not list: docker = 106"),
    ("etc/shadow", "root:$y$j9T$x$y:1::::::\n", "a password, or an account without one: root"),
    ("etc/shadow", "guest::1::::::\n", "a password, or an account without one: guest"),
    ("etc/machine-id", "0123\n", "a machine-id: /etc/machine-id must be there and be empty"),
    ("etc/ssh/ssh_host_ed25519_key", "key", "an ssh host key: /etc/ssh/ssh_host_ed25519_key"),
    ("etc/hostname", "builder\n", "the identity of one machine: /etc/hostname"),
]


@pytest.mark.parametrize(("path", "more", "message"), UNFIT, ids=[message for _, _, message in UNFIT])
def test_what_no_image_may_hold_fails_the_build_by_name(root: Path, path: str, more: str, message: str) -> None:
    with (root / path).open("a") as file:
        file.write(more)
    with pytest.raises(BuildFailed) as caught:
        audit(root, RECIPE)
    assert str(caught.value) == f"the image may not hold {message}"


def test_accounts_are_seeded_before_packages_roll_ids_for_them() -> None:
    script = seed_accounts(RECIPE)
    assert "\nsshd:x:202:65534::/run/sshd:/usr/sbin/nologin\n" in script
    assert "\nmessagebus:x:201:\n" in script
    assert "\nkvm:x:224:\n" in script
    assert "\nsshd:x:65534:\n" not in script


def test_only_installed_packages_are_listed() -> None:
    status = (
        "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\nDescription: shell\n .: more\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    )
    assert parse_status(status) == {"bash": "5.2-1"}


def test_trimming_keeps_what_it_is_told(tmp_path: Path) -> None:
    for name in ("gconv/IBM850.so", "gconv/IBM437.so", "gconv/deep/x", "doc/a/b", "other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    trim(tmp_path, Trim(drop=("gconv/*", "doc", "nosuch"), keep=("gconv/IBM850.so",)))
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["gconv", "gconv/IBM850.so", "other"]


def test_a_key_logs_in_though_the_password_must_be_changed() -> None:
    line = "account\t[success=1 default=ignore]\tpam_unix.so"
    assert without_password_expiry(f"# x\n{line} \n") == f"# x\n{line} no_pass_expiry\n"
    with pytest.raises(BuildFailed, match="0 plain lines"):
        without_password_expiry("account required pam_permit.so\n")
