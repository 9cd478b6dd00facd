"""Beam's view of the settings: the template's command line, read and checked before anything is built."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, WorkerOptions

from pipeline.streaming.settings import DEFAULTS, Settings, read


class StreamOptions(PipelineOptions):  # type: ignore[misc]
    """``--click_subscription`` and so on, by the names of :class:`Settings`."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        for name, default in DEFAULTS.items():
            # No default here: the settings know it, and an option that nobody gave must not pass for given.
            parser.add_argument(f"--{name}", default=None, help=f"see the settings (default {default!r})")

    def settings(self, *, need_sources: bool = True) -> Settings:
        """ConfigError with every mistake."""
        given = self.view_as(StreamOptions).get_all_options(drop_default=False, retain_unknown_options=False)
        return read({name: given.get(name) for name in DEFAULTS}, need_sources=need_sources)


def without_state_cache(options: PipelineOptions) -> PipelineOptions:
    """The same options with Beam's cache of state switched off, which costs more than it gives here.

    The memory of duplicates reads a key once, so a cache never hits; and for every entry Beam
    measures the size of all it can reach: measured in memory, four times the processor time for an event.
    """
    options.view_as(WorkerOptions).max_cache_memory_usage_mb = 0
    return options
