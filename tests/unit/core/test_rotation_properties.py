"""At every instant exactly one person is on duty, in every zone and over decades; hand-overs keep local time."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.core.rotation import DAY, WEEK, Always, FollowTheSun, Layer, Rotation, gaps

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",  # winter time is the exception there
    "America/New_York",
    "America/St_Johns",  # half an hour off; it changed at one minute past midnight
    "America/Sao_Paulo",  # it changed at midnight: some days have no 00:00
    "Australia/Lord_Howe",  # changes by half an hour
    "Antarctica/Troll",  # changes by two hours
    "Africa/Casablanca",  # changes with the moon
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Gaza",
    "Pacific/Chatham",
    "Pacific/Apia",  # left out a whole day
    "America/Los_Angeles",
)
TICK, STEP = timedelta(microseconds=1), timedelta(minutes=15)

zones = st.sampled_from(ZONES)
instants = st.datetimes(datetime(1995, 1, 1), datetime(2045, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
clock_times = st.integers(0, 24 * 4 - 1).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
lengths = st.sampled_from([DAY, WEEK, *(timedelta(hours=hours) for hours in (1, 5, 8, 12, 36, 100))])


@st.composite
def rotations(draw: st.DrawFn, every: st.SearchStrategy[timedelta] = lengths) -> Rotation:
    return Rotation(
        people=tuple("abcde"[: draw(st.integers(2, 5))]),
        every=draw(every),
        start=draw(st.dates(date(2000, 1, 1), date(2040, 1, 1))),
        hand_over=draw(clock_times),
        tz=draw(zones),
    )


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone, and an instant from which three days hold a change of its clock where the year has one."""
    zone, year = draw(zones), draw(st.integers(1995, 2044))
    at = datetime(year, 1, 1, tzinfo=UTC)
    days = [at + n * DAY for n in range(366)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    found = [days[n] - DAY for n in range(365) if offsets[n] != offsets[n + 1]]
    return zone, draw(st.sampled_from(found or days[100:101]))


@settings(max_examples=150, deadline=None)
@given(place=rotations(), at=instants)
def test_one_person_holds_until_the_next_hand_over_and_not_a_moment_longer(
    place: Rotation, at: datetime
) -> None:
    holder, due = place.on_duty(at), place.next_hand_over(at)
    assert due is not None
    assert at < due <= at + place.every + 2 * DAY
    assert {place.on_duty(at + (due - at) * part / 7) for part in range(7)} == {holder}
    assert place.on_duty(due - TICK) == holder
    assert place.on_duty(due) != holder


@settings(max_examples=40, deadline=None)
@given(place=rotations(), change=changes())
@example(
    Rotation(people=("a", "b"), every=DAY, start=date(2011, 1, 1), tz="Pacific/Apia"),
    ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),
)
def test_a_shift_is_what_the_highest_reading_of_the_wall_clock_says(
    place: Rotation, change: tuple[str, datetime]
) -> None:
    """A model without any arithmetic of zones: look at a clock on the wall each quarter of an hour, and note the
    highest reading so far. Clocks set back do not bring back a shift; clocks set forward end it with the jump.
    """
    tz, begin = change
    place = Rotation(
        people=place.people, every=place.every, start=place.start, hand_over=place.hand_over, tz=tz
    )
    anchor, highest = datetime.combine(place.start, place.hand_over), datetime.min
    for step in range(-8 * 4, 4 * 24 * 3):
        at = begin + step * STEP
        highest = max(highest, at.astimezone(ZoneInfo(tz)).replace(tzinfo=None))
        if step >= 0:
            turn = (highest - anchor) // place.every
            assert place.on_duty(at) == place.people[turn % len(place.people)], at


@settings(max_examples=100, deadline=None)
@given(place=rotations(every=st.sampled_from([DAY, WEEK])), at=instants)
def test_hand_overs_come_at_the_local_time_that_is_written(place: Rotation, at: datetime) -> None:
    due = place.next_hand_over(at)
    assert due is not None
    zone = ZoneInfo(place.tz)
    local = due.astimezone(zone)
    if local.time() == place.hand_over:
        assert local.fold == 0, "the first of two"
        assert place.every == DAY or local.weekday() == place.start.weekday()
    else:
        before = (due - TICK).astimezone(zone).replace(tzinfo=None)
        written = datetime.combine(before.date(), place.hand_over)
        written += DAY if written <= before else timedelta()
        assert before < written < local.replace(tzinfo=None), "only a time that the clock left out moves"


@st.composite
def tilings(draw: st.DrawFn) -> tuple[Layer, ...]:
    """Layers of one zone, each from the last one's end: they cover the day once."""
    cuts = draw(st.lists(clock_times, min_size=2, max_size=5, unique=True))
    tz, cuts = draw(zones), sorted(cuts)
    edges = zip(cuts, [*cuts[1:], cuts[0]], strict=True)
    return tuple(Layer(holder=Always("abcde"[n]), begin=a, end=b, tz=tz) for n, (a, b) in enumerate(edges))


@settings(max_examples=25, deadline=None)
@given(layers=tilings(), year=st.integers(1995, 2044))
def test_layers_that_share_their_edges_have_no_gap_and_no_overlap(
    layers: tuple[Layer, ...], year: int
) -> None:
    first, last = date(year, 1, 1), date(year + 1, 1, 1)
    spans = sorted(span for layer in layers for span in layer.spans(first, last))
    assert all(end == begin for (_, end), (begin, _) in pairwise(spans))
    assert gaps(layers, first, last) == ()


@st.composite
def layered(draw: st.DrawFn) -> FollowTheSun:
    """Any layers at all, gaps and overlaps included."""
    holders = st.sampled_from("vwxyz").map(Always) | rotations()
    layer = st.builds(Layer, holder=holders, begin=clock_times, end=clock_times, tz=zones)
    return FollowTheSun(tuple(draw(st.lists(layer, min_size=1, max_size=4))))


@settings(max_examples=50, deadline=None)
@given(place=layered(), at=instants)
def test_whatever_the_layers_are_one_person_holds_from_hand_over_to_hand_over(
    place: FollowTheSun, at: datetime
) -> None:
    holder, due = place.on_duty(at), place.next_hand_over(at)
    assert holder in place.names()
    until = at + 3 * DAY if due is None else due
    assert {place.on_duty(at + (until - at) * part / 9) for part in range(9)} == {holder}
    assert place.on_duty(until - TICK) == holder
    assert due is None or place.on_duty(due) != holder
