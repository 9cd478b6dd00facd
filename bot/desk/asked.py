"""One request of one person: who it is, where it was asked, and what its words name."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from datetime import datetime

from bot.core import access
from bot.core import roster as rosters
from bot.core.access import Allowed, Denied
from bot.core.asks import Asker
from bot.core.book import Barred
from bot.core.incident import Incident, number_of
from bot.core.refusal import Refused
from bot.core.roster import Person
from bot.desk.house import House
from bot.desk.ports import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every handler gets."""

    tx: Tx
    house: House
    asker: Asker
    words: tuple[str, ...]
    key: str

    @property
    def now(self) -> datetime:
        return self.tx.now()

    @property
    def person(self) -> Person | None:
        """The asker on the roster, or None."""
        return rosters.by_slack(self.house.roster, self.asker.user)

    @property
    def name(self) -> str:
        """The asker for the timeline."""
        person = self.person
        return person.name if person is not None else f"slack:{self.asker.user}"

    @property
    def shown(self) -> str:
        """The asker in words: an id alone tells a reader of the channel nothing."""
        if self.person is not None or not self.asker.user_name:
            return self.name
        return f"{self.asker.user_name[:80]} (not on the roster)"

    @property
    def who(self) -> dict[str, str]:
        """For the data of an event: the asker in words, where the timeline's name is only an id."""
        return {} if self.shown == self.name else {"who": self.shown}

    @property
    def rest(self) -> str:
        """All words as one text."""
        return " ".join(self.words)


def split(text: str) -> tuple[str, ...]:
    """The words of a command; quotes keep words together, an unmatched quote is a character like others."""
    straight = text.replace("“", '"').replace("”", '"').replace("‘", "'").replace("’", "'")
    lexer = shlex.shlex(straight, posix=True, punctuation_chars="")
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    lexer.escape = ""
    try:
        return tuple(lexer)
    except ValueError:
        return tuple(text.split())


def which(asked: Asked, *, free: bool = False) -> tuple[Incident, tuple[str, ...]]:
    """The incident that the words name first, else the channel's; and the words that are left.

    free: what is left is somebody's own text. In an incident's channel a bare number before it belongs to it, so that
    "3 workers died" is nothing about INC-3. Raises Refused when there is no incident, and for a private one that is
    not the asker's.
    """
    words = asked.words
    found = None
    named = words[:1] if not (free and _begins_a_text(asked)) else ()
    if named and (number := number_of(named[0].lstrip("#"))) is not None:
        found = asked.tx.incident(number)
        if found is not None and _is_text(asked, found, words[0]):
            found = None
        if found is not None and (len(words) == 1 or not words[0].isdigit() or not _duration_like(words)):
            return _visible(asked, found), words[1:]
        if found is None and (
            not words[0].isdigit() or asked.tx.incident_of_channel(asked.asker.channel) is None
        ):
            raise Refused(f"There is no INC-{number}.", "`/incident list` shows the ones there are.")
    of_channel = asked.tx.incident_of_channel(asked.asker.channel) if asked.asker.channel else None
    found = asked.tx.incident(of_channel) if of_channel is not None else _by_name(asked)
    if found is None:
        raise Refused(
            "Which incident?", "Name it, like INC-7, or ask in its channel. `/incident list` shows them."
        )
    return _visible(asked, found), words


def _begins_a_text(asked: Asked) -> bool:
    first, *more = asked.words or ("",)
    text = first.isdigit() and any(not word.startswith("--") for word in more)
    return text and asked.tx.incident_of_channel(asked.asker.channel) is not None


def _is_text(asked: Asked, found: Incident, word: str) -> bool:
    """A bare number in an incident's channel that is a private incident of others: no more than a number to them."""
    if not word.isdigit() or asked.tx.incident_of_channel(asked.asker.channel) is None:
        return False
    return not sees(asked, found)


def sees(asked: Asked, incident: Incident) -> bool:
    """Whether the asker may know of it: a private incident is there for its members alone."""
    person = asked.person
    name = person.name if person is not None else None
    return not incident.private or access.is_member(asked.house.roster, name, asked.now, incident)


def _by_name(asked: Asked) -> Incident | None:
    """The incident of a channel that Slack made and whose answer got lost: it is not known by its id yet."""
    match = re.match(r"inc-0*([1-9][0-9]{0,8})-", asked.asker.channel_name)
    found = asked.tx.incident(int(match.group(1))) if match else None
    return found if found is not None and not found.channel_id else None


def _duration_like(words: tuple[str, ...]) -> bool:
    """ "2 h" after a number: the number is not an id then."""
    return len(words) > 1 and words[1] in ("h", "m", "min", "d", "s")


def _visible(asked: Asked, incident: Incident) -> Incident:
    if not sees(asked, incident):
        raise Barred(
            f"There is no {incident.name}.",
            "`/incident list` shows the ones there are.",
            incident=incident.id,
        )
    return incident


def need(asked: Asked, action: access.Action, incident: Incident | None = None) -> str:
    """The asker's roster name when they may; raises Barred with who may otherwise."""
    person = asked.person
    if incident is not None:
        _visible(asked, incident)
    decided = access.decide(
        asked.house.roster, person.name if person else None, asked.now, action, incident=incident
    )
    if isinstance(decided, Denied):
        who = f"These people may: {', '.join(decided.who_may)}." if decided.who_may else ""
        raise Barred(
            f"You may not do that: {decided.reason}.",
            who,
            incident=incident.id if incident is not None else None,
        )
    return asked.name


def may(asked: Asked, action: access.Action) -> bool:
    """Whether the asker may do such a thing here: in this channel's incident, elsewhere in any that is open. For help
    and private buttons alone; whatever is then asked for is judged again."""
    number = asked.tx.incident_of_channel(asked.asker.channel) if asked.asker.channel else None
    if number is not None:
        places: list[Incident | None] = [asked.tx.incident(number, lock=False)]
    else:
        places = [None, *asked.tx.incidents(active=True)]
    person = asked.person.name if asked.person is not None else None
    return any(
        isinstance(access.decide(asked.house.roster, person, asked.now, action, incident=place), Allowed)
        for place in places
    )


def somebody(asked: Asked, word: str) -> Person:
    """The person of the roster behind @bob or a mention. Raises Refused."""
    found = rosters.by_slack(asked.house.roster, word)
    if found is None:
        names = ", ".join(asked.house.roster.people)
        raise Refused("That person is not on the roster.", f"The roster has: {names}.")
    return found
