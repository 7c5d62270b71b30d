"""Request -> files of the node."""

from __future__ import annotations

from autoinstall.grammar import EXAMPLE_KEY
from autoinstall.plan import make_plan
from autoinstall.settings import NodeFile
from tests.unit.machines import HASH, MACHINE, asked


def _files(line: str) -> dict[str, NodeFile]:
    return {file.path: file for file in make_plan(asked(f"storage_init {line}"), MACHINE).files}


def test_without_a_password_admin_has_keys_only_and_sudo_without_one() -> None:
    files = _files(f"autoinstall.ssh_key=ssh-ed25519:{EXAMPLE_KEY}:me autoinstall.ssh_key=ssh-ed25519:{EXAMPLE_KEY}")
    keys = files["/home/admin/.ssh/authorized_keys"]
    assert keys.text == f"ssh-ed25519 {EXAMPLE_KEY} me\nssh-ed25519 {EXAMPLE_KEY}\n"
    assert (keys.mode, keys.owner) == (0o600, (1000, 1000))
    assert "NOPASSWD" in files["/etc/sudoers.d/admin"].text
    assert "/etc/shadow" not in files


def test_with_a_password_sudo_asks_for_it_and_it_must_be_changed() -> None:
    files = _files(f"adminpw={HASH}")
    assert "NOPASSWD" not in files["/etc/sudoers.d/admin"].text
    assert f"admin:{HASH}:0:0:99999:7:::\n" in files["/etc/shadow"].text
    assert files["/etc/shadow"].secret
    assert files["/etc/shadow"].mode == 0o640


def test_root_stays_as_the_image_has_it() -> None:
    assert MACHINE.shadow["root"] in _files(f"adminpw={HASH}")["/etc/shadow"].text


def test_sshd_takes_passwords_only_where_asked() -> None:
    assert "PasswordAuthentication no" in _files("")["/etc/ssh/sshd_config.d/10-autoinstall.conf"].text
    assert "PasswordAuthentication yes" in _files("ssh_pwauth")["/etc/ssh/sshd_config.d/10-autoinstall.conf"].text


def test_the_management_nic_is_matched_by_its_mac() -> None:
    text = _files("BOOTIF=link")["/etc/systemd/network/10-management.network"].text
    assert "MACAddress=52:54:00:12:34:56" in text
    assert "ClientIdentifier=mac" in text
    assert "/etc/systemd/network/10-management.network" not in _files("ip=off")


def _network(words: str) -> str:
    return _files(words)["/etc/systemd/network/10-management.network"].text


def test_a_static_address_has_its_gateway_and_name_servers() -> None:
    text = _network("BOOTIF=link ip=192.0.2.7::192.0.2.1:255.255.255.0 dns=192.0.2.53,2001:db8::53")
    for line in ("DHCP=no", "Address=192.0.2.7/24", "Gateway=192.0.2.1", "DNS=192.0.2.53", "DNS=2001:db8::53"):
        assert f"{line}\n" in text


def test_the_anaconda_form_means_the_same() -> None:
    assert _network("ip=192.0.2.7 netmask=255.255.255.0 gateway=192.0.2.1") == _network("ip=192.0.2.7::192.0.2.1:24")


def test_time_servers_are_timesyncds_and_off_takes_its_own_away() -> None:
    path = "/etc/systemd/timesyncd.conf.d/10-autoinstall.conf"
    assert _files("ntp=time.example,192.0.2.123")[path].text == "[Time]\nNTP=time.example 192.0.2.123\n"
    assert "FallbackNTP=\n" in _files("ntp=off")[path].text
    assert path not in _files("")


def test_no_swap_and_no_data_are_not_in_fstab() -> None:
    assert _files("storage_vol=none,Swap:none,Data")["/etc/fstab"].text == ""


def test_a_given_host_name_is_the_nodes_and_no_name_leaves_it_to_dhcp() -> None:
    assert _files("hostname=n1.example")["/etc/hostname"].text == "n1.example\n"
    assert "127.0.1.1 n1.example n1\n" in _files("hostname=n1.example")["/etc/hosts"].text
    assert "/etc/hostname" not in _files("")
    slots = make_plan(asked("storage_init BOOTIF=link"), MACHINE).slots
    assert "systemd.hostname=node-123456" in slots[0].kernel_arguments


def test_swap_and_data_never_stop_a_boot() -> None:
    lines = _files("")["/etc/fstab"].text.splitlines()
    assert len(lines) == 2
    assert all("nofail" in line for line in lines)
