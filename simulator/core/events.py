"""The discrete-event simulation: activities that meet on a resource slow one another down.

The one file that imports SimPy; what serving needs of it is named here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from heapq import heappop, heappush
from typing import Any, NamedTuple, TypeAlias

from simpy import AllOf, Environment, Event
from simpy.events import EventPriority

from simulator.core.activity import Activity
from simulator.core.closed_form import alone
from simulator.core.plan import Plan
from simulator.core.resource import Resource
from simulator.core.sharing import speeds

__all__ = ["Event", "EventLoop", "Process", "Running", "Span", "Timeline", "events", "seconds"]

Process: TypeAlias = Generator[Event, Any, None]
Ends: TypeAlias = list[Any]
"""The planned ends of a component: the first of them, a number, its members (none once they are planned anew)."""
AFTER_ALL = EventPriority(2)  # SimPy's urgent (0) and normal (1) events of an instant come first


class Span(NamedTuple):
    """When an activity ran: submitted at `start` (its latency and its wait for a slot are inside), ended at `end`."""

    name: str
    start: float
    end: float


class Timeline(NamedTuple):
    """What the events gave: the seconds that the plan took, and the span of each activity in the order of ending."""

    time: float
    spans: list[Span]


def events(plan: Plan, watch: Callable[[EventLoop], None] | None = None) -> Timeline:
    """Run a plan event by event from time 0; `watch` is called whenever the speeds have changed."""
    loop = EventLoop(record=True, watch=watch)
    done = loop.run(plan)
    loop.until_idle()
    if not done.processed:
        raise RuntimeError(f"plan {plan.name} did not end")
    return Timeline(max((span.end for span in loop.spans), default=0.0), loop.spans)


def seconds(plan: Plan) -> float:
    """Seconds that a plan takes event by event; of steps that follow one another, each runs by itself, and but once.

    Nothing is left of a step when the next one begins: a chain takes the sum of its steps, each as often as it repeats.
    """
    if any(step.after != (index - 1,) for index, step in enumerate(plan.steps[1:], start=1)):
        return events(plan).time
    links = (seconds(work) if isinstance(work, Plan) else float(alone(work)) for work, _, _ in plan.steps)
    return sum(step.repeat * duration for step, duration in zip(plan.steps, links, strict=True))


class Running:
    """An activity in progress: `left` are the seconds that it would still take at speed 1."""

    __slots__ = ("activity", "done", "end", "left", "plan", "shares", "since", "slotted", "speed", "start", "weight")

    def __init__(self, activity: Activity, start: float, done: Event) -> None:
        self.activity, self.start, self.done = activity, start, done
        self.shares, self.weight = activity.shares, activity.weight
        self.slotted = activity.slotted
        self.left, self.speed, self.since = activity.alone, 0.0, start
        self.end = start  # as planned
        self.plan: Ends | None = None  # that holds


class EventLoop:
    """The clock, and the activities that run on it.

    An activity spends its latency, waits for a slot of each engine that it uses, then progresses at its fair speed
    (`core/sharing.py`). Speeds are solved once an instant, and only in the component of resources that an arrival or
    a departure touches. An activity whose speed does not change keeps its planned end to the last bit.
    """

    def __init__(self, record: bool = False, watch: Callable[[EventLoop], None] | None = None) -> None:
        self.environment = Environment()
        self.spans: list[Span] = []
        self._record = record
        self._watch = watch
        self._users: dict[Resource, dict[Running, float]] = {}  # of each resource in use: share * weight
        self._queues: dict[Resource, deque[Running]] = {}
        self._holders: Counter[Resource] = Counter()  # of slots
        self._touched: dict[Resource, None] = {}  # since the speeds were last solved
        self._plans: list[Ends] = []  # heap
        self._planned = 0
        self._alarm = float("inf")

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.environment.now

    @property
    def running(self) -> list[Running]:
        """The activities that hold resources now."""
        return list(dict.fromkeys(running for users in self._users.values() for running in users))

    def run(self, work: Activity | Plan) -> Event:
        """Start an activity or a plan; the event that this gives succeeds when it ends."""
        done = Event(self.environment)
        if isinstance(work, Plan):
            self._start(work, done)
            return done
        running = Running(work, self.environment.now, done)
        if work.latency > 0:
            _after(self.environment, float(work.latency), lambda _: self._request(running))
        else:
            self._request(running)
        return done

    def process(self, process: Process) -> Event:
        """Start a generator that yields events."""
        return self.environment.process(process)

    def all_of(self, ends: Iterable[Event]) -> Event:
        """The event that succeeds when all of these have."""
        return AllOf(self.environment, ends)

    def timeout(self, seconds: float) -> Event:
        """The event that succeeds after so many seconds."""
        return self.environment.timeout(seconds)

    def until_idle(self) -> float:
        """Run until nothing is left to happen; returns the time."""
        self.environment.run()
        return self.now

    def _start(self, plan: Plan, done: Event) -> None:
        """Start each step of a plan once those before it have ended; `done` succeeds when all have."""
        steps, left = plan.steps, len(plan.steps)
        missing = [len(step.after) for step in steps]
        following: list[list[int]] = [[] for _ in steps]
        for place, step in enumerate(steps):
            for before in step.after:
                following[before].append(place)

        def begin(place: int, times: int) -> None:
            _then(self.run(steps[place].work), lambda _: end(place, times - 1))

        def end(place: int, times: int) -> None:
            nonlocal left
            if times:
                begin(place, times)
                return
            left -= 1
            for after in following[place]:
                missing[after] -= 1
                if not missing[after]:
                    begin(after, steps[after].repeat)
            if not left:
                done.succeed()

        for place, step in enumerate(steps):
            if not step.after:
                begin(place, step.repeat)
        if not steps:
            done.succeed()

    def _request(self, running: Running) -> None:
        """Start it, or let it wait until each engine that it uses has a slot for it."""
        if not running.slotted:
            self._begin(running)
            return
        for resource in running.slotted:
            self._queues.setdefault(resource, deque()).append(running)
        self._admit(running.slotted)

    def _admit(self, resources: Iterable[Resource]) -> None:
        """Begin those at the head of these queues that have a slot everywhere; each gives way to the next."""
        open_ = list(resources)
        while open_:
            queue = self._queues[open_.pop()]
            if queue and all(self._is_next(queue[0], r) for r in queue[0].slotted):
                first = queue[0]
                for resource in first.slotted:
                    self._queues[resource].popleft()
                self._holders.update(first.slotted)
                open_ += first.slotted
                self._begin(first)

    def _is_next(self, running: Running, resource: Resource) -> bool:
        return self._queues[resource][0] is running and self._holders[resource] < (resource.slots or 0)

    def _begin(self, running: Running) -> None:
        running.since = self.environment.now
        if not running.shares:
            self._finish(running)
            return
        contended = False
        for resource, share in running.shares:
            users = self._users.get(resource)
            if users is None:
                self._users[resource] = {running: share * running.weight}
            else:
                contended = True
                users[running] = share * running.weight
        if contended:
            self._touch(running)
        else:
            self._plan({running: 1.0})
            self._set_alarm()

    def _finish(self, running: Running) -> None:
        running.plan = None
        if self._record:
            self.spans.append(Span(running.activity.name, running.start, self.environment.now))
        for resource, _ in running.shares:
            users = self._users[resource]
            del users[running]
            if not users:
                del self._users[resource]  # a private one will not be seen again
        self._touch(running)
        running.done.succeed()
        if running.slotted:
            self._holders.subtract(running.slotted)
            self._admit(running.slotted)

    def _touch(self, running: Running) -> None:
        """Have the speeds around it solved once all that happens in this instant has happened."""
        quiet = not self._touched
        for resource, _ in running.shares:
            if resource in self._users:
                self._touched[resource] = None
        if quiet and self._touched:
            _AfterAll(self.environment, self._solve)

    def _solve(self, _: Event) -> None:
        seen: set[Resource] = set()
        for resource in self._touched:
            if resource in self._users and resource not in seen:
                activities, users = self._component(resource)
                seen.update(users)
                self._plan(speeds(activities, users))
        self._touched.clear()
        self._set_alarm()

    def _component(self, start: Resource) -> tuple[dict[Running, None], dict[Resource, dict[Running, float]]]:
        """What is joined to a resource by activities that use two or more: the activities, and all their resources."""
        activities: dict[Running, None] = {}
        users = {start: self._users[start]}
        open_ = [start]
        while open_:
            for running in users[open_.pop()]:
                if running not in activities:
                    activities[running] = None
                    for resource, _ in running.shares:
                        if resource not in users:
                            users[resource] = self._users[resource]
                            open_.append(resource)
        return activities, users

    def _plan(self, component: dict[Running, float]) -> None:
        """Plan the end of each activity of a component at its new speed; one that keeps its speed keeps its end."""
        self._planned += 1
        plan: Ends = [float("inf"), self._planned, component]
        now = self.environment.now
        first = float("inf")
        for running, speed in component.items():
            if speed != running.speed:
                left = running.left - running.speed * (now - running.since)
                running.left = left = left if left > 0.0 else 0.0
                running.since, running.speed, running.end = now, speed, now + left / speed
            if running.plan:
                running.plan[2] = ()
            running.plan = plan
            if running.end < first:
                first = running.end
        plan[0] = first
        heappush(self._plans, plan)

    def _set_alarm(self) -> None:
        """See that a timeout is due at the earliest planned end."""
        if self._touched:
            return  # the plans are about to change
        plans = self._plans
        while plans and not plans[0][2]:
            heappop(plans)
        if plans and plans[0][0] < self._alarm:
            self._alarm = plans[0][0]
            _after(self.environment, max(self._alarm - self.environment.now, 0.0), self._ring, self._alarm)
        if self._watch:
            self._watch(self)

    def _ring(self, alarm: Event) -> None:
        """End what was planned to end by this alarm: the plan decides, not a remainder nor the rounded clock."""
        due: float = alarm.value  # type: ignore[assignment]  # the timeout carries its planned time
        if due == self._alarm:
            self._alarm = float("inf")
        plans = self._plans
        while plans and plans[0][0] <= due:
            plan = heappop(plans)
            for running in plan[2]:
                if running.plan is plan and running.end <= due:
                    self._finish(running)
        self._set_alarm()


class _AfterAll(Event):
    """Happens in this instant, after all else that happens in it."""

    def __init__(self, environment: Environment, callback: Callable[[Event], None]) -> None:
        super().__init__(environment)
        self._ok, self._value = True, None
        self.callbacks.append(callback)
        environment.schedule(self, priority=AFTER_ALL)


def _after(environment: Environment, delay: float, callback: Callable[[Event], None], value: Any = None) -> None:
    _then(environment.timeout(delay, value), callback)


def _then(event: Event, callback: Callable[[Event], None]) -> None:
    """Call back when an event happens that has not yet happened."""
    assert event.callbacks is not None
    event.callbacks.append(callback)
