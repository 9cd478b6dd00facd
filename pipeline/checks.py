"""What a check of the environment found: pass, fail or unknown, with the command that mends or shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import Denied, Missing, PipelineError, Refused

Result = Literal["pass", "fail", "unknown"]
# Google's words for an API that was never switched on in a project; they come as a denied permission.
_DISABLED: Final = re.compile(
    r"has not been used in project|API .*is (?:disabled|not enabled)|SERVICE_DISABLED"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.  ``essential``: the pipeline cannot run while it fails."""

    name: str
    result: Result
    text: str
    command: str = ""
    essential: bool = True


class Failed(Exception):
    """Raised by a probe whose answer came and is not as it should be."""

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.command = command


class Unknowable(Exception):
    """Raised by a probe that cannot tell from here; ``command`` shows or mends it."""

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(text)
        self.command = command


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A check that is still to be made: ``look`` returns what it found, or raises."""

    name: str
    look: Callable[[], str]
    mend: str  # the command for a fail
    show: str = ""  # the command for an unknown
    api: str = ""  # "pubsub.googleapis.com"
    project: str = ""
    essential: bool = True


def made(probe: Probe) -> Check:
    """The check that a probe makes; no error of ours gets past it."""
    try:
        text = probe.look()
    except Failed as failed:
        return _check(probe, "fail", str(failed), failed.command or probe.mend)
    except Unknowable as unknown:
        return _check(probe, "unknown", str(unknown), unknown.command or probe.show or probe.mend)
    except Missing as missing:
        return _check(probe, "fail", f"not found: {missing.resource or missing}", probe.mend)
    except Denied as denied:
        return _denied(probe, denied)
    except Refused as refused:
        return _check(probe, "fail", refused.reason, probe.mend)
    except PipelineError as error:
        return _check(probe, "unknown", str(error), probe.show or probe.mend)
    return _check(probe, "pass", text, "")


def count(checks: Iterable[Check], result: Result) -> int:
    return sum(check.result == result for check in checks)


def disabled(denied: Denied) -> bool:
    """Whether a refusal means that the API was never switched on."""
    return bool(_DISABLED.search(str(denied)))


def _denied(probe: Probe, denied: Denied) -> Check:
    if disabled(denied):
        text = f"the API {probe.api} is not enabled"
        return _check(probe, "fail", text, f"gcloud services enable {probe.api} --project {probe.project}")
    if denied.remedy.startswith("gcloud"):
        return _check(probe, "fail", "there are no credentials", denied.remedy)
    need = denied.permission or denied.remedy
    text = f"permission denied; the account in use lacks {need}"
    command = f"gcloud projects get-iam-policy {probe.project}"
    return _check(probe, "fail", text, command)


def _check(probe: Probe, result: Result, text: str, command: str) -> Check:
    return Check(name=probe.name, result=result, text=text, command=command, essential=probe.essential)
