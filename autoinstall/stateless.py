"""Request + facts -> the settings of a node on the system that runs; no disk is touched, nothing lasts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoinstall.errors import Refused
from autoinstall.facts import Facts
from autoinstall.network import nics_for
from autoinstall.request import Request
from autoinstall.services import refuse_missing_features, refuse_unchecked
from autoinstall.settings import NodeFile, default_host_name, running_files


@dataclass(frozen=True)
class Application:
    """What is decided: the files, and how the machine is called."""

    files: tuple[NodeFile, ...]
    host_name: str
    dry_run: bool


def make_application(request: Request, facts: Facts) -> Application:
    """Decide. Raises Refused where the image or the machine cannot do what is asked."""
    if facts.image is None:
        raise Refused("this system does not run from an image of autoinstall", hint="boot one, then ask again")
    refuse_missing_features(request.services, facts.image.manifest.features)
    refuse_unchecked(request.https, facts.image.manifest.features)
    nics = nics_for(request, facts)
    name = request.host_name or default_host_name(nics.management, None)
    return Application(running_files(request, facts.shadow, nics), name, request.dry_run)
