"""The composition root: the one place that knows every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route

from bot import alarms
from bot.clock import Clock
from bot.core.budget import BudgetNotification
from bot.core.delivery import POSTED, SLACK
from bot.core.errors import ConfigError
from bot.core.holding import Hold, Why
from bot.core.roster import Reach, Roster
from bot.desk import chores, errands, gates, holds, oncall, rounds, storms
from bot.desk.again import written
from bot.desk.answered import LinkDesk
from bot.desk.auditing import Auditor
from bot.desk.deliver import Deliverer
from bot.desk.front import FrontDesk
from bot.desk.house import House, claims_of
from bot.desk.kit import Kit
from bot.desk.live import live
from bot.desk.membership import Membership
from bot.desk.operator import Operator
from bot.desk.ports import InboxRow
from bot.desk.posting import Poster
from bot.desk.processor import Processor
from bot.desk.receive import let_go
from bot.desk.timers import Timers
from bot.desk.watch import Watch
from bot.documents import DocumentErrors, Surroundings, load_all
from bot.known import known_operations
from bot.loops import Loop
from bot.posts import PostRoom
from bot.probe import Probe, nowhere
from bot.reading import Reading
from bot.settings import Settings
from bot.slack.app import SlackSettings, build_app, make_client, socket_mode
from bot.slack.groups import UserGroups
from bot.slack.sender import Sender
from bot.store.database import Database
from bot.vitals import Vitals
from bot.web import ack, health
from bot.web.intake import Intake, IntakeSettings
from bot.web.openapi import openapi
from bot.web.pages import routes as page_routes
from bot.web.pull import Puller
from pipeline import catalogue
from pipeline.errors import ConfigError as PipelineConfigError
from pipeline.google.clients import Clients
from pipeline.history import History
from pipeline.maintenances import Maintenance
from pipeline.operations import registry
from pipeline.thresholds import SHIPPED

log = structlog.get_logger()
GRACE_S = 6.0  # with the time that the server gives to open requests less than ten seconds
OWN_PACE = frozenset({"pull", "holds", "oncall", "audit", "heartbeat", "errands", "calendar", "groups"})


def furnish(settings: Settings, today: date | None = None) -> House:
    """The house from its documents. Raises ConfigError with the mistakes of all files.

    With ``today`` reviews of runbooks that are overdue are among the house's warnings.
    """
    operations = registry()
    known = known_operations(operations)
    mistakes: list[str] = []
    pipelines: tuple[Any, ...] = ()
    limits = SHIPPED
    try:
        documents = load_all(settings.runbooks_dir, Surroundings(operations=known, today=today))
        limits = documents.limits
    except DocumentErrors as errors:
        mistakes += [str(mistake) for mistake in errors.mistakes]
    try:
        path = settings.runbooks_dir / "pipelines.yaml"
        pipelines = catalogue.load(path, settings.google_cloud_project, settings.region, limits).pipelines
    except PipelineConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return House(
        roster=replace(
            documents.roster, reach=Reach(mail=bool(settings.smtp_host), hook=bool(settings.hook_url))
        ),
        policy=documents.policy,
        runbooks=documents.runbooks,
        pipelines=tuple(pipelines),
        operations={name: operation.risk for name, operation in known.items()},
        warnings=tuple(str(warning) for warning in documents.warnings),
        faults=tuple(str(fault) for fault in documents.faults),
        base_url=settings.public_url,
        claims=claims_of(tuple(pipelines)),
        calendar=settings.calendar,
    )


class Bot:
    """Everything that one process holds, started and stopped together."""

    def __init__(self, settings: Settings, clock: Clock, probe: Probe = nowhere) -> None:
        self.settings = settings
        self.clock = clock
        self.probe = probe
        self.house = furnish(settings, clock.now().date())
        for warning in (*self.house.warnings, *self.house.faults):
            log.warning(warning, action="documents")
        self.database = Database(settings.database_url, clock, create=False, probe=probe)
        self.history = History.open(settings.database_url)
        self.clients = Clients()
        self.sender = Sender(
            make_client(settings.slack_bot_token, settings.slack_api_url),
            settings.announcement_channel,
            clock,
            settings.operations_channel,
        )
        self.lateness = health.Lateness()
        operations = registry()
        tick = max(0.02, 1.0 / clock.speed)
        shared: dict[str, Any] = {"store": self.database, "house": lambda: self.house, "wake": self.wake}
        self.membership = Membership(
            store=self.database, house=lambda: self.house, now=clock.now,
            reader=UserGroups(self.sender.api, clock.monotonic), wake=lambda: self.groups.wake(),
        )  # fmt: skip
        kit = Kit(
            **shared, registry=operations, clients=self.clients, history=self.history, now=clock.now,
            speed=clock.speed, before_a_run=self.membership.before_a_run,
        )  # fmt: skip
        self.desk = FrontDesk(
            **shared, registry=operations, before_a_click=self.membership.before_a_click,
            group_changed=self.membership.changed,
        )  # fmt: skip
        self.processor = Processor(
            **shared, record_budget=self._record_budget, probe=probe, maintenances=self._maintenances,
            look=lambda pipeline: self.watch.soon(pipeline),
        )  # fmt: skip
        delivering: dict[str, Any] = {
            **shared, "now": clock.now, "monotonic": clock.monotonic, "probe": probe, "on_page": self.lateness.observe,
        }  # fmt: skip
        self.deliverer = Deliverer(**delivering, sender=self.sender, kinds=SLACK)
        self.post = PostRoom(settings)
        poster = Poster(self.post.posts(), self.membership.house, clock.now, clock.wall)
        self.postman = Deliverer(**delivering, sender=poster, kinds=POSTED)
        self._background: set[asyncio.Task[Any]] = set()
        self.links = LinkDesk(**shared, key=self.post.link_key)
        auditor = Auditor(store=self.database, monotonic=clock.monotonic, wake=self.wake)
        self.vitals = Vitals(self.database, clock, auditor, settings.heartbeat_url, self.membership.health)
        self.operator = Operator(kit, probe)
        self.watch = Watch(kit, monotonic=clock.monotonic, maintenances=self._maintenances)
        slack = SlackSettings(
            signing_secret=settings.slack_signing_secret,
            token=settings.slack_bot_token,
            api_url=settings.slack_api_url,
        )
        self.slack = build_app(slack, self.desk, self.sender.api, clock, self._forged)
        self.intake = Intake(self.database, _intake_settings(settings), self.wake, self._web(), clock=clock)
        ticking = Timers(**shared, monotonic=clock.monotonic, rest=self._rest, probe=probe)
        self.timers = Loop("timers", ticking.turn, every_s=tick)
        self.holds = Loop("holds", self._holds, every_s=max(0.2, tick))
        self.groups = Loop("groups", self.membership.turn, every_s=max(0.5, 5.0 / clock.speed))
        self.loops = [
            Loop("inbox", self.processor.turn, every_s=1.0),
            self.timers,
            self.holds,
            Loop("outbox", self.deliverer.turn, every_s=0.5),
            Loop("post", self.postman.turn, every_s=0.5),
            Loop("runs", self._runs, every_s=1.0),
            Loop("errands", self._errands, every_s=max(1.0, tick * 10)),
            Loop("watch", self._watch, every_s=min(1.0, tick * 10)),
            Loop("audit", auditor.turn, every_s=1.0),
            Loop("oncall", self._oncall, every_s=max(0.25, 5.0 / clock.speed)),
            Loop("calendar", self._rounds, every_s=max(0.5, 5.0 / clock.speed)),
            self.groups,
        ]
        self.vitals.loops = self.loops
        if self.vitals.heartbeat is not None:
            every = settings.heartbeat_every.total_seconds()
            self.loops.append(Loop("heartbeat", self.vitals.heartbeat.turn, every_s=every))
        if settings.pull_subscriptions:
            puller = Puller(
                self.clients, self.intake, settings.pull_subscriptions, settings.google_cloud_project
            )
            self.loops.append(Loop("pull", puller.turn, every_s=1.0))

    def wake(self) -> None:
        """Something was committed: whatever may follow from it is done now."""
        for loop in self.loops:
            if loop.name not in OWN_PACE:
                loop.wake()

    # --- turns --------------------------------------------------------------------------------------------

    def _rest(self, left: float) -> None:
        self.timers.wake_in(min(left / self.clock.speed, 60.0))

    def _rung(self, what: str) -> None:
        name = "oncall" if what == alarms.HAND_OVERS else "calendar"
        next(loop for loop in self.loops if loop.name == name).wake()

    async def _oncall(self) -> int:
        house = self.house
        if not await self.database.aread(lambda tx: oncall.due(tx, house)):
            return 0
        did = await self.database.awrite(lambda tx: oncall.turn(tx, house))
        if did:
            self.wake()
        return did

    async def _rounds(self) -> int:
        """The operations calendar and the daily chores: both on the tick, so a downtime's come afterwards."""
        house = self.house
        did = 0
        if await self.database.aread(lambda tx: rounds.due(tx, house)):
            did += await self.database.awrite(lambda tx: rounds.turn(tx, house))
        if await self.database.aread(lambda tx: chores.due(tx, house)):
            done = await self.database.awrite(lambda tx: chores.turn(tx, house))
            did += len(done)
            if "tidy" in done:
                old = self.clock.now() - chores.KEEP_PROBES
                await asyncio.to_thread(self.history.forget_probes_before, old)
        if did:
            self.wake()
        return did

    async def _runs(self) -> int:
        await self.operator.recover()
        return await self.operator.turn()

    async def _errands(self) -> int:
        """Runbooks outside incidents have no due time of their own: their waiting steps are looked through."""
        if not await self.database.aread(lambda tx: tx.runs_in(errands.WALKING)):
            return 0
        return await self.database.awrite(lambda tx: errands.remind(tx, live(tx, self.house)))

    async def _watch(self) -> int:
        await self.watch.turn()
        return 0

    def _maintenances(self) -> tuple[Hold, ...]:
        return tuple(_hold_of(found) for found in self.history.open_maintenances())

    async def _holds(self) -> int:
        """Tell of storms that end, of maintenances that begin and end; let go the alerts that were held."""
        if await self.database.aread(lambda tx: tx.get_value(storms.STATE)):
            await self.database.awrite(lambda tx: storms.turn(tx, self.house))
        standing = await asyncio.to_thread(self._maintenances)
        if not standing and not await self.database.aread(lambda tx: tx.waiting_holds()):
            return 0
        house = replace(self.house, maintenances=standing)
        over = await written(self.database, lambda tx: holds.turn(tx, house, let_go))
        for name in over:
            await asyncio.to_thread(self.history.maintenance_told, int(name.rpartition(":")[2]))
        if over:
            self.wake()
        left = [(hold.until - self.clock.now()).total_seconds() for hold in standing if hold.name not in over]
        if left:
            self.holds.wake_in(max(0.0, min(min(left) / self.clock.speed, 60.0)))
        return len(over)

    def _record_budget(self, new: BudgetNotification, row: InboxRow) -> None:
        self.history.record_budget(
            budget=new.display_name or new.budget_id,
            period=new.period_start.date().isoformat(),
            cost=new.cost,
            amount=new.amount,
            currency=new.currency,
            threshold=new.threshold,
            forecast=new.forecast,
            at=row.received_at,
            raw={"budget_id": new.budget_id, "account": new.account},
        )

    def _forged(self, reason: str, count: int, client: str) -> None:
        self._later(self.database.awrite(lambda tx: gates.write_forgeries(tx, reason, count, client)))

    # --- the web ------------------------------------------------------------------------------------------

    def _web(self) -> Starlette:
        routes = [
            *health.routes(self.vitals.figures, self.vitals.can_store, self.vitals.details, self.lateness),
            Route("/", lambda _: RedirectResponse("/incidents")),
            Route("/openapi.json", openapi),
            *ack.routes(self.links),
            *page_routes(
                Reading(self.database, lambda: self.house, self.clock), self.settings.web_token or None
            ),
            Route("/slack/events", self.slack.asgi),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Begin every loop; what fell due while nobody ran is done at once."""
        # Pulls, probes and operations block their threads; none may wait for a slot that another holds.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(24, thread_name_prefix="google"))
        await self.sender.open()
        for loop in self.loops:
            loop.start()
        self._later(self._know_people())
        self._alarms = alarms.build(lambda: self.house, self.clock, self._rung)
        self._alarms.start()
        self._socket = None
        if self.settings.slack_app_token:
            self._socket = socket_mode(self.slack.bolt, self.settings.slack_app_token)
            # Not waited for: while Slack gives no socket, notifications come in all the same.
            self._later(self._socket.connect_async())  # type: ignore[no-untyped-call]

    async def stop(self) -> None:
        """Let what is under way end, within the grace; the rest is taken up by the next process."""
        self._alarms.shutdown(wait=False)
        if self._socket is not None:
            await self._socket.close_async()  # type: ignore[no-untyped-call]
        for loop in self.loops:
            await loop.stop()
        await asyncio.gather(
            self.slack.listeners.drain(GRACE_S),
            self.deliverer.drain(GRACE_S),
            self.postman.drain(GRACE_S),
            self.operator.drain(GRACE_S),
        )
        for task in list(self._background):
            task.cancel()
        await self.intake.close()
        await self.sender.close()
        await self.post.close()
        self.database.close()
        self.history.close()
        self.clients.close()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _know_people(self) -> None:
        """Turn e-mails and handles of the roster into Slack ids, so that a click is known by its person."""
        while True:
            refs = [p.slack for p in self.house.roster.people.values() if p.slack]
            found = await self.sender.directory.find_all(refs)
            self.house = replace(self.house, roster=_with_ids(self.house.roster, found))
            missing = sorted(set(refs) - set(found))
            if not missing:
                return
            log.warning("people_unknown_to_slack", action="people_unknown_to_slack", people=missing)
            await asyncio.sleep(60)


def _hold_of(found: Maintenance) -> Hold:
    return Hold(
        name=f"maintenance:{found.id}",
        why=Why.MAINTENANCE,
        pipeline=found.pipeline,
        reason=found.reason,
        by=found.by,
        begin=found.begin,
        until=found.until,
    )


def _with_ids(roster: Roster, ids: dict[str, str]) -> Roster:
    people = {
        name: replace(person, slack=ids.get(person.slack or "", person.slack))
        for name, person in roster.people.items()
    }
    return replace(roster, people=people)


def _intake_settings(settings: Settings) -> IntakeSettings:
    return IntakeSettings(
        monitoring_user=settings.monitoring_webhook_user,
        monitoring_passwords=settings.monitoring_webhook_passwords,
        monitoring_tokens=settings.monitoring_webhook_tokens,
        push_audience=settings.pubsub_push_audience,
        push_email=settings.pubsub_push_email,
        certs_url=settings.oidc_certs_url,
    )
