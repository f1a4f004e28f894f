"""Workflows made by chance: a small tree of steps, and a world that answers them in any order. The same seed, the same run.

Names of what is asked carry the length of a shared log, so that any difference in order shows in the interrupts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from memflow.core.arrivals import (
    ActivityCancelled,
    ActivityCompleted,
    ActivityFailed,
    ActivityTimedOut,
    Arrival,
    CancelRequested,
    ChildCancelled,
    ChildCompleted,
    ChildFailed,
    ChildNotStarted,
    ChildStarted,
    HookCompleted,
    HookDelivered,
    HookFailed,
    HookNotDelivered,
    HookReceived,
    MessageDelivered,
    MessageNotDelivered,
    SignalReceived,
    TimerFired,
    UpdateReceived,
    WaitCancelled,
)
from memflow.core.chance import uuid4
from memflow.core.context import current
from memflow.core.definition import Definition, Handler
from memflow.failure import Failure
from memflow.payload import NOTHING, Payload
from tests.core.playing import (
    Code,
    Played,
    activity,
    ask_child,
    ask_hook,
    child,
    condition,
    continue_as_new,
    emit,
    patched,
    people,
    send,
    send_hook,
    send_told,
    signal,
)

FAILURE = Failure("application", "no", type="Refused")
SIGNALS = ("approved", "paid")


@dataclass(frozen=True)
class Step:
    """One step of a program: what it does, a number for it, and the steps inside."""

    kind: str
    number: int
    inner: tuple[Step, ...] = ()


LEAVES = (
    *("activity", "sleep", "signal", "waiting", "child", "handle", "emit", "send"),
    *("random", "now", "yield", "raise", "condition"),
    *("patched", "deprecated", "continue", "count", "path", "people", "elsewhere"),
)
NODES = (
    *("sequence", "gather", "settle", "group", "timeout", "wait_for", "shield", "first", "all", "completed"),
    *("cancel", "spawn", "try", "loop", "queue", "lock", "cleanup", "stubborn", "barrier", "hook", "exec"),
)


def program(random: Random, depth: int = 4) -> Step:
    """A random tree of steps."""
    if depth == 0 or (depth < 4 and random.random() < 0.2):
        return Step(random.choice(LEAVES), random.randint(0, 7))
    kind = random.choice(NODES)
    return Step(kind, random.randint(0, 7), tuple(program(random, depth - 1) for _ in range(random.choice((1, 2, 2, 3, 4)))))


class Odd(Exception):
    """What programs raise."""


class Interpreter:
    """Runs a tree. `log` is shared by all coroutines of the run and steers what they ask."""

    def __init__(self, patches: str = "all") -> None:
        self.patches = patches
        self.log: list[str] = []
        self.lock = asyncio.Lock()

    def note(self, text: object) -> str:
        self.log.append(str(text))
        return f"{len(self.log)}-{text}"

    async def run(self, step: Step) -> str:
        method: Callable[[Step], Any] = getattr(self, f"do_{step.kind}")
        found = await method(step)
        return self.note(f"{step.kind}{step.number}{found if found is not None else ''}")

    def all_of(self, step: Step) -> list[Any]:
        return [self.run(each) for each in step.inner]

    async def do_activity(self, step: Step) -> object:
        answer = await activity(self.note(f"a{step.number}"), wait=step.number == 7)
        if isinstance(answer, ActivityFailed):
            raise Odd("failed")
        return type(answer).__name__

    async def do_sleep(self, step: Step) -> None:
        await asyncio.sleep(step.number / 2)

    async def do_signal(self, step: Step) -> object:
        return (await signal(SIGNALS[step.number % 2])).op

    async def do_waiting(self, step: Step) -> object:
        try:
            async with asyncio.timeout(step.number):
                return (await signal(SIGNALS[step.number % 2])).op
        except TimeoutError:
            return "late"

    async def do_people(self, step: Step) -> object:
        scope = asyncio.timeout(step.number)
        try:
            async with scope:
                found = await people(SIGNALS[step.number % 2], scope.expired)
        except TimeoutError:
            return "late"
        return "cancelled" if found is None else found.op

    async def do_elsewhere(self, step: Step) -> object:
        name = self.note(f"w{step.number}")
        if step.number < 2:
            return type(await send_told(name, f"to-{name}", cancel=step.number == 0)).__name__
        return type(await send_hook(name, answer=step.number % 2 == 0)).__name__

    async def do_hook(self, step: Step) -> None:
        ask_hook(lambda: self.do_sequence(step) if step.number == 0 else self.do_try(step))

    async def do_exec(self, step: Step) -> object:
        task = ask_hook(lambda: self.do_sequence(step), awaited=True)
        assert task is not None
        try:
            return await task
        except Exception as error:
            return type(error).__name__

    async def do_child(self, step: Step) -> object:
        return type(await child(self.note(f"c{step.number}"))).__name__

    async def do_handle(self, step: Step) -> object:
        op = ask_child(self.note(f"h{step.number}"), announce=True)
        if isinstance(await current().answer(op), ChildNotStarted):
            return "taken"
        await asyncio.sleep(step.number)
        return type(await current().answer(op)).__name__

    async def do_emit(self, step: Step) -> None:
        emit(self.note(f"e{step.number}"))

    async def do_send(self, step: Step) -> None:
        send(self.note(f"s{step.number}"))

    async def do_random(self, step: Step) -> object:
        replay = current()
        if replay.random.random() < 0.5:
            await activity(self.note(str(uuid4(replay.random))))
        return replay.random.randint(0, 99)

    async def do_now(self, step: Step) -> object:
        return current().now.isoformat()

    async def do_yield(self, step: Step) -> None:
        for _ in range(step.number):
            await asyncio.sleep(0)

    async def do_raise(self, step: Step) -> None:
        if step.number % 3 == 0:
            raise Odd(self.note("raised"))

    async def do_condition(self, step: Step) -> None:
        await condition(lambda: len(self.log) % 5 == step.number % 5)

    async def do_count(self, step: Step) -> object:
        return current().write_record("search.incr", [f"n{step.number % 2}", step.number])

    async def do_path(self, step: Step) -> object:
        try:
            current().write_record("entity.append", [f"lists.{step.number}", self.note("item")])
            return current().write_record("entity.merge", [{"lists": {str(step.number % 3): {"last": len(self.log)}}}])
        except TypeError:
            return "no list"

    async def do_patched(self, step: Step) -> None:
        if self.patches != "none" and patched(f"p{step.number % 4}"):
            await activity(self.note(f"new{step.number}"))

    async def do_deprecated(self, step: Step) -> None:
        if self.patches == "all":
            patched(f"d{step.number % 4}", deprecated=True)

    async def do_continue(self, step: Step) -> None:
        if step.number < 2:
            continue_as_new(self.note("again"))

    async def do_sequence(self, step: Step) -> None:
        for each in step.inner:
            await self.run(each)

    async def do_gather(self, step: Step) -> object:
        return await asyncio.gather(*self.all_of(step))

    async def do_settle(self, step: Step) -> object:
        return [type(each).__name__ for each in await asyncio.gather(*self.all_of(step), return_exceptions=True)]

    async def do_group(self, step: Step) -> None:
        async with asyncio.TaskGroup() as group:
            for each in step.inner:
                group.create_task(self.run(each))
            if step.number == 0:
                await self.run(step.inner[0])

    async def do_timeout(self, step: Step) -> object:
        try:
            async with asyncio.timeout(step.number):
                await self.do_sequence(step)
        except TimeoutError:
            return "timeout"
        return None

    async def do_wait_for(self, step: Step) -> object:
        try:
            return await asyncio.wait_for(self.run(step.inner[0]), step.number)
        except TimeoutError:
            return "timeout"

    async def do_shield(self, step: Step) -> object:
        try:
            return await asyncio.wait_for(asyncio.shield(self.run(step.inner[0])), 1 + step.number)
        except TimeoutError:
            return "timeout"

    async def do_first(self, step: Step) -> object:
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(each) for each in self.all_of(step)]
        tasks.append(asyncio.gather(asyncio.sleep(step.number), asyncio.sleep(0)))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            self.note("failed" if task.exception() is not None else "done")
        for task in pending:
            self.note(tasks.index(task))
            if step.number % 2:
                task.cancel()
        return len(done)

    async def do_all(self, step: Step) -> object:
        done, pending = await asyncio.wait([asyncio.ensure_future(each) for each in self.all_of(step)], timeout=1 + step.number)
        for task in done:
            self.note(type(task.exception()).__name__)
        for task in pending:
            task.cancel()
        return len(done)

    async def do_completed(self, step: Step) -> None:
        waited = iter(asyncio.as_completed(self.all_of(step), timeout=None if step.number else 3))
        for each in waited:
            try:
                self.note(await each)
            except (Odd, TimeoutError) as error:
                self.note(type(error).__name__)

    async def do_cancel(self, step: Step) -> object:
        task = asyncio.ensure_future(self.run(step.inner[0]))
        if step.number % 2:
            await self.run(Step("activity", step.number))
        else:
            await self.do_yield(step)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            return "cancelled"

    async def do_spawn(self, step: Step) -> None:
        self.spawned = asyncio.ensure_future(self.do_try(step))

    async def do_try(self, step: Step) -> object:
        try:
            await self.do_sequence(step)
        except Exception as error:
            return type(error).__name__
        return None

    async def do_loop(self, step: Step) -> None:
        for _ in range(step.number % 4):
            await self.do_sequence(step)

    async def do_queue(self, step: Step) -> object:
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1)

        async def produce(each: Step) -> None:
            await queue.put(await self.run(each))

        producers = [asyncio.ensure_future(produce(each)) for each in step.inner]
        try:
            async with asyncio.timeout(5):
                return [await queue.get() for _ in producers]
        except TimeoutError:
            return "starved"
        finally:
            for producer in producers:
                producer.cancel()

    async def do_lock(self, step: Step) -> None:
        async def locked(each: Step) -> None:
            async with self.lock:
                await self.run(each)

        try:
            async with asyncio.timeout(4):
                await asyncio.gather(*(locked(each) for each in step.inner))
        except TimeoutError:
            self.note("locked out")

    async def do_cleanup(self, step: Step) -> None:
        try:
            await self.run(step.inner[0])
        finally:
            emit(self.note("cleanup"))
            if step.number % 2:
                await self.run(step.inner[-1])

    async def do_stubborn(self, step: Step) -> object:
        try:
            return await self.run(step.inner[0])
        except asyncio.CancelledError:
            return await activity(self.note("after all"))

    async def do_barrier(self, step: Step) -> None:
        barrier = asyncio.Barrier(len(step.inner))

        async def meet(each: Step) -> None:
            await self.do_try(Step("try", 0, (each,)))
            self.note(await barrier.wait())

        await asyncio.gather(*(meet(each) for each in step.inner))


    # -- handlers: they share the log with everything else, so that any difference in their order shows

    def listen(self, number: int) -> None:
        """Answer updates from now on, and in some programs signals."""
        replay = current()
        replay.set_handler("update", "edit", Handler("update", "edit", self.edit, (int,), 1, Any, self.check_edit))
        if number % 4 == 1:
            replay.set_handler("signal", SIGNALS[0], Handler("signal", SIGNALS[0], self.noted, (Any,), 0, Any))
        if number % 8 == 3:
            replay.set_handler("signal", None, Handler("signal", None, self.noted_any, (Any, Any), 2, Any))

    def check_edit(self, number: int) -> None:
        if (number + len(self.log)) % 3 == 0:
            raise Odd("rejected")

    async def edit(self, number: int) -> str:
        self.note(f"edit{number}")
        if number % 5 == 0:
            raise Odd(self.note("edit failed"))
        if number % 2:
            await self.do_activity(Step("activity", number))
        if number == 8:
            await self.do_condition(Step("condition", number))
        return self.note(f"edited{number}")

    async def noted(self) -> None:
        self.note("signal")
        await activity(self.note("on signal"))

    def noted_any(self, name: str, arguments: list[Any]) -> None:
        self.note(f"any {name} {arguments}")


def code_of(tree: Step, patches: str = "all") -> Code:
    """A workflow that runs the tree, with `all` its patches, with those that are still asked for (`live`), or `none`."""

    async def made() -> list[str]:
        interpreter = Interpreter(patches)
        if tree.number % 2:
            interpreter.listen(tree.number)
        await interpreter.run(tree)
        return interpreter.log

    return made


class World:
    """Answers what a run asked, in random order and batches; early, late, twice."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._past: list[Arrival] = []
        self._waited: dict[int, str] = {}
        self._announced: set[int] = set()
        self._cancelled = False
        self._updates = 0
        self._hooks = 0

    def next_turn(self, played: Played) -> tuple[float, list[Arrival]]:
        """Seconds that pass, and what arrives after them."""
        random, replay = self._random, played.replay
        self._waited.update((op, asked.signal_id) for op, asked in replay.open_waits.items())
        after = random.choice((0.0, 0.0, 0.25, 1.0))
        due = sorted((at, op) for op, at in replay.open_timers.items())
        if due and (not replay.open_activities or random.random() < 0.4):
            after = max(after, (random.choice(due)[0] - played.at).total_seconds())
        arrivals: list[Arrival] = []
        for op in random.sample(sorted(replay.open_activities), min(len(replay.open_activities), random.randint(0, 3))):
            arrivals.append(self._end_of_activity(op))
        children: list[Arrival] = []
        for op in random.sample(sorted(replay.open_children), min(len(replay.open_children), random.randint(0, 2))):
            children.extend(self._news_of_child(op, replay.open_children[op].announce))
        for op in list(self._waited):
            if random.random() < 0.3:
                arrivals.append(SignalReceived(self._waited.pop(op), NOTHING, op))
        for op, asked in replay.open_waits.items():
            if asked.escalation is not None and op in self._waited and random.random() < 0.2:
                arrivals.append(WaitCancelled(op, self._waited.pop(op)))
        for op in random.sample(sorted(replay.open_hooks), min(len(replay.open_hooks), random.randint(0, 2))):
            arrivals.append(self._news_of_hook(op, replay.open_hooks[op].answer))
        for op, sent in replay.open_messages.items():
            if random.random() < 0.4:
                to = sent.workflow_id or ""
                arrivals.append(MessageDelivered(op) if random.random() < 0.5 else MessageNotDelivered(op, to, "completed"))
        if random.random() < 0.1:
            self._hooks += 1
            reply = ("other", "run-2", self._hooks) if random.random() < 0.5 else (None, None, None)
            search = Payload(b'{"seen":1}') if random.random() < 0.5 else None
            number = random.choice((b"[0]", b"[1]", b"[2]", b'["no number"]'))
            arrivals.append(HookReceived(f"h-{self._hooks}", "outside", Payload(number), search, *reply))
        if random.random() < 0.2:
            arrivals.append(SignalReceived(random.choice(SIGNALS), NOTHING))
        while random.random() < 0.2:
            self._updates += 1
            name = "edit" if random.random() < 0.9 else "missing"
            arrivals.append(UpdateReceived(f"u-{self._updates}", name, Payload(f"[{random.randint(0, 9)}]".encode())))
        if not self._cancelled and random.random() < 0.03:
            self._cancelled = True
            arrivals.append(CancelRequested("enough"))
        if self._past and random.random() < 0.1:
            arrivals.append(random.choice(self._past))
        random.shuffle(arrivals)
        arrivals.extend(children)  # the news of one child come in order
        passed = (played.at.timestamp() + after) * 1_000_000
        arrivals.extend(TimerFired(op) for at, op in due if round(at.timestamp() * 1_000_000) <= round(passed))
        self._past.extend(each for each in arrivals if isinstance(each, ActivityCompleted | TimerFired))
        return after, arrivals

    def _end_of_activity(self, op: int) -> Arrival:
        if self._random.random() < 0.4:
            return ActivityCompleted(op, NOTHING)
        return self._random.choice((ActivityFailed, ActivityTimedOut, ActivityCancelled))(op, FAILURE)

    def _news_of_hook(self, op: int, answer: bool) -> Arrival:
        if self._random.random() < 0.2:
            return HookNotDelivered(op, "elsewhere", self._random.choice((None, "completed")))
        if not answer:
            return HookDelivered(op)
        return self._random.choice((HookCompleted(op, NOTHING), HookFailed(op, FAILURE)))

    def _news_of_child(self, op: int, announce: bool) -> list[Arrival]:
        random = self._random
        ends: list[Arrival] = [ChildCompleted(op, NOTHING), ChildFailed(op, FAILURE), ChildCancelled(op, FAILURE)]
        end = random.choice(ends)
        if op in self._announced:
            return [end]
        if random.random() < 0.1:
            return [ChildNotStarted(op, "taken", None)]
        if not announce:
            return [end]
        self._announced.add(op)
        return [ChildStarted(op)] if random.random() < 0.5 else [ChildStarted(op), end]


def play(
    random: Random, *, turns: int = 20, around: Callable[[Definition], Definition] = lambda definition: definition
) -> Played:
    """Make a program and let the world answer it for some turns; each turn is checked against a rebuilt replay."""
    played = Played(code_of(program(random)), run_id=f"run-{random.randint(0, 10**9)}", around=around)
    played.start()
    answer(played, World(random), turns=turns)
    return played


def play_over_a_deployment(random: Random, before: str, after: str, *, turns: int = 10) -> Played:
    """The same with code whose patches change half-way: from `before` to `after`, as `code_of` has them."""
    tree = program(random)
    played = Played(code_of(tree, before), run_id=f"run-{random.randint(0, 10**9)}")
    world = World(random)
    played.start()
    answer(played, world, turns=random.randint(0, turns))
    if not played.replay.finished:
        played.deploy(code_of(tree, after))
        answer(played, world, turns=turns)
    return played


def answer(played: Played, world: World, *, turns: int) -> None:
    """Let the world answer for some turns, or until the run has ended."""
    for _ in range(turns):
        if played.replay.finished:
            return
        after, arrivals = world.next_turn(played)
        if arrivals:
            played.turn(*arrivals, after=after)


def digest(seeds: range) -> str:
    """What a range of seeds led to, as one number: every entry of every journal."""
    sums = hashlib.sha256()
    for seed in seeds:
        played = play(Random(seed))
        sums.update("\n".join(f"{each.seq} {each.turn} {each.at} {each.entry}" for each in played.journal).encode())
        played.replay.close()
    return sums.hexdigest()
