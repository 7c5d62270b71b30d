"""Every way autoinstall can fail: one class and line each.

An error says what was being done or asked, why that cannot be, and (`hint`) what to do about it. The class
fixes the exit code, which tells a machine whether the disks were touched:

* 2: asked wrongly, 3: cannot be done here. After both, nothing was written.
* 4: broke while doing it. 70: a bug in autoinstall (EX_SOFTWARE of sysexits.h).
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_ASKED = 2
EXIT_HERE = 3
EXIT_BROKE = 4
EXIT_BUG = 70


class AutoinstallError(Exception):
    """The root of the family. `reasons` has one line per problem; the message is all of them."""

    exit_code = EXIT_BUG

    def __init__(self, *reasons: str, hint: str = "") -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons
        self.hint = hint


class AskedWrongly(AutoinstallError):
    """The words, a recipe or the options of a command are wrong, whatever the machine is."""

    exit_code = EXIT_ASKED


class CannotHere(AutoinstallError):
    """What was asked is well-formed, but this machine (or build host) cannot do it."""

    exit_code = EXIT_HERE


class Broke(AutoinstallError):
    """It failed while being done."""

    exit_code = EXIT_BROKE


# fmt: off
class BadWords(AskedWrongly):       "Words of the kernel command line that are wrong; every one is listed."
class BadRecipe(AskedWrongly):      "A recipe file that says something a recipe cannot say."
class BadUsage(AskedWrongly):       "Options of a command that contradict each other or the place it runs in."
class Refused(CannotHere):          "The request does not fit the machine."
class ImageInvalid(CannotHere):     "The image is not what its manifest says, or its manifest is not one."
class NotServed(ImageInvalid):      "A server answers that it does not give a file of the image."
class NotTrusted(CannotHere):       "The image is not signed, or not by a key that the system takes images of."
class ToolMissing(CannotHere):      "A program that is not installed."
class NoSpace(CannotHere):          "Too little room for what is to be written."
class MirrorUnreachable(CannotHere): "The package mirror does not answer."
class BuildFailed(Broke):           "A part of an image could not be made, or holds what no image may hold."
class ToolFailed(Broke):            "A program that ran and failed."
class DeviceLost(Broke):            "A disk answered with an error, or is gone."
class MountFailed(Broke):           "A filesystem that cannot be mounted, or not be let go of."
class TookTooLong(Broke):           "Something that was waited for did not come within its limit."
class Stopped(Broke):               "Somebody ended the run: a shutdown, or systemctl stop."
class NotDone(Broke):               "A step was applied, and the world is still not as planned."
class StateUnreadable(Broke):       "The slot state of a node, or what should hold it, cannot be read."
# fmt: on
