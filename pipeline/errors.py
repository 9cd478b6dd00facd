"""What can go wrong with an operation, as types; turned into words once, at the edge.

    PipelineError
        ConfigError       pipelines.yaml or a setting is wrong (all mistakes at once)
        UsageError        an unknown flag, a missing or impossible value
        Unreachable       the service did not answer, or answered that it is unavailable
        Timeout           it did not answer in the time that was given
        Denied            a permission is missing
        Missing           the resource does not exist
        QuotaExceeded     the service refuses for the moment
        Refused           the operation itself declines, for a reason that a person can act on

Every text says what happened, what it means and what to do, in that order.
"""

from __future__ import annotations


class PipelineError(Exception):
    """Base of all; ``str(error)`` is a text for a person, without trace or markup."""


class Interrupted(Exception):
    """The process ends, and the operation stops between two of its steps: nothing went wrong, so it is no
    PipelineError.  What it held is given back; whoever runs it again goes on there."""


class ConfigError(PipelineError):
    """Wrong configuration; ``mistakes`` lists every one that was found."""

    def __init__(self, mistakes: list[str] | str) -> None:
        self.mistakes = [mistakes] if isinstance(mistakes, str) else list(mistakes)
        super().__init__("\n".join(self.mistakes))


class UsageError(PipelineError):
    """Words or flags that the operation does not know; the text carries a suggestion."""


class Unreachable(PipelineError):
    """The service could not be reached; nothing is known about the state of the pipeline."""


class Timeout(PipelineError):
    """No answer, or no expected state, within the time that was given."""


class Denied(PipelineError):
    """A permission is missing."""

    def __init__(self, text: str, *, permission: str = "", remedy: str = "") -> None:
        self.permission = permission
        self.remedy = remedy
        super().__init__(text)


class Missing(PipelineError):
    """A resource does not exist."""

    def __init__(self, text: str, *, resource: str = "") -> None:
        self.resource = resource
        super().__init__(text)


class QuotaExceeded(PipelineError):
    """A quota of the service is used up for the moment."""


class Refused(PipelineError):
    """The operation declines; ``reason`` says why and what would make it possible."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
