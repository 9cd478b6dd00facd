"""What the flex template's image starts: ``python -m pipeline.streaming.run --runner=DataflowRunner ...``.

Every option is checked before a pipeline is built, so that the launcher's log names all mistakes.
"""

from __future__ import annotations

import sys

from pipeline.errors import ConfigError


def main(argv: list[str] | None = None) -> int:
    """Builds and submits the pipeline; 2 when an option is wrong."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import SetupOptions, StandardOptions

    from pipeline.streaming.cloud import build
    from pipeline.streaming.options import StreamOptions, without_state_cache

    options = StreamOptions(sys.argv[1:] if argv is None else argv)
    try:
        settings = options.settings()
    except ConfigError as error:
        for mistake in error.mistakes:
            print(f"Error: {mistake}", file=sys.stderr)
        return 2
    without_state_cache(options)
    options.view_as(StandardOptions).streaming = True
    options.view_as(SetupOptions).save_main_session = False
    pipeline = beam.Pipeline(options=options)
    build(pipeline, settings)
    pipeline.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
