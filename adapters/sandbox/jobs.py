"""Work an ESP only promises: it is done after a while, or after some polls, or when somebody lets it go on."""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.sandbox.keep import Kept

#: Finished jobs that can still be asked for.
KEPT = 1000

Work = Callable[[], tuple[str, dict[str, Any]]]


def _nothing() -> tuple[str, dict[str, Any]]:
    """What is left to do of a finished job."""
    return "", {}


@dataclass
class Job:
    """One promise and what became of it."""

    work: Work
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    kind: str = "upsert"
    status: str = "pending"
    results: dict[str, Any] = field(default_factory=dict)
    polls: int = 0
    begun: float = field(default_factory=time.monotonic)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished: datetime | None = None


class Jobs:
    """All promises of one ESP, kept in the order they were made. The owner's lock protects them.

    A job is due `seconds` after it was made or when it was polled `polls` times (0: polling never makes it due).
    """

    def __init__(self, held: Callable[[], bool], seconds: float = 0.3, polls: int = 0) -> None:
        """`held` says whether all jobs are to stay pending for now."""
        self.held = held
        self.seconds = seconds
        self.polls = polls
        self.all: dict[str, Job] = Kept()
        #: Mixes the parts of a job while jobs are done in any order.
        self.mixer: random.Random | None = None
        self._settling = False

    def add(self, work: Work, kind: str = "upsert") -> Job:
        """Promise some work."""
        job = Job(work, kind=kind)
        self.all[job.id] = job
        done = [known for known, one in self.all.items() if one.finished]
        for known in done[: max(0, len(done) - KEPT)]:
            del self.all[known]
        return job

    def due(self, job: Job) -> bool:
        """Whether the promise is to be kept now."""
        if job.finished or self.held():
            return False
        by_polls = bool(self.polls) and job.polls >= self.polls
        return by_polls or time.monotonic() - job.begun >= self.seconds

    def settle(self) -> None:
        """Do all work that is due; work that calls the ESP itself does not begin it again."""
        if self._settling:
            return
        self._settling = True
        try:
            for job in list(self.all.values()):
                if self.due(job):
                    self._do(job)
        finally:
            self._settling = False

    def _do(self, job: Job) -> None:
        """Work that breaks down is a failed job, not a broken ESP."""
        try:
            job.status, job.results = job.work()
        except Exception as error:  # whatever it is, the caller of another address is not to blame
            job.status, job.results = "failed", {"error": type(error).__name__}
        job.finished = datetime.now(UTC)
        job.work = _nothing
        self.all[job.id] = job

    def release(self, mode: str, seed: int) -> None:
        """Do everything that was held, in the order that mode says."""
        jobs = [job for job in self.all.values() if not job.finished]
        if mode == "reversed":
            jobs.reverse()
        if mode == "shuffled":
            self.mixer = random.Random(seed)
            self.mixer.shuffle(jobs)
        self._settling = True
        try:
            for job in jobs:
                self._do(job)
        finally:
            self._settling, self.mixer = False, None

    def look(self, job_id: str) -> Job | None:
        """Somebody asks how a job is getting on."""
        job = self.all.get(job_id)
        if job:
            self.settle()
            job.polls += 1
        return job
