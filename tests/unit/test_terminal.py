"""What the commands of the terminal share: a look makes no database, and an incident is named in one way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bot.checks import pages, review, verify
from bot.core.errors import ConfigError
from bot.rehearsal import rehearse
from bot.statistics import statistics
from bot.terminal import NoDatabase, incident_number

ROOT = Path(__file__).resolve().parents[2]
Env = Mapping[str, str]


@pytest.mark.parametrize(
    "look",
    [
        lambda env: verify("", env),
        lambda env: verify("INC-7", env),
        lambda env: pages("", env),
        lambda env: review("INC-7", env),
        lambda env: statistics(env, days=30, as_json=False),
    ],
)
def test_where_there_is_no_database_none_is_made_and_nothing_is_called_intact(
    look: Callable[[Env], object], tmp_path: Path
) -> None:
    """In a wrong folder, or with a wrong DATABASE_URL, an empty file would hold every promise."""
    path = tmp_path / "var" / "streamwatch.db"
    with pytest.raises(NoDatabase):
        look({"DATABASE_URL": f"sqlite:///{path}", "RUNBOOKS_DIR": str(ROOT / "runbooks")})
    assert not path.parent.exists()


def test_an_incident_is_named_with_and_without_its_letters() -> None:
    assert {incident_number(text) for text in ("INC-7", "inc-7", "inc-0007", " 7 ")} == {7}


@pytest.mark.parametrize("text", ["", "INC-", "INC-0", "²", "seven", "9" * 20, "7 8"])
def test_what_names_no_incident_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match="write INC-7"):
        incident_number(text)


def test_a_rehearsal_takes_the_region_that_the_settings_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `check` and the bot do, for a pipeline that names none."""
    folder = tmp_path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    file = folder / "pipelines.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.strip().startswith("region:")]
    file.write_text("\n".join(lines))
    story = ROOT / "runbooks" / "rehearsals" / "cost-spike.yaml"
    wanted = story.with_suffix(".expected.jsonl")
    env = {"RUNBOOKS_DIR": str(folder), "REGION": "europe-west1", "SMTP_HOST": "mail.example.com"}
    assert rehearse(story, as_json=True, expect=wanted, env=env) == 0
    assert capsys.readouterr().err == ""
