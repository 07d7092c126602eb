"""What both toy ESPs share: a door for every call, trouble on command, a table of routes."""

import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from adapters.sandbox.courier import Courier
from adapters.sandbox.jobs import Jobs
from adapters.sandbox.keep import Keeper
from adapters.sandbox.mailbox import Mailbox
from adapters.sandbox.trouble import HOLDING, Trouble

Judge = Callable[[Request], object]


class Refusal(Exception):
    """The call is answered with this instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


class ActError(Exception):
    """What a person wanted to happen at an ESP cannot happen; the text says why."""


class Route(NamedTuple):
    """One address of an API. An unlocked one takes the lock itself, because it waits for somebody."""

    methods: str
    path: str
    view: Callable[..., Any]
    locked: bool = True


class Esp(ABC):
    """One toy ESP: state in memory, one lock around it, and written down after each call where a keeper is there."""

    #: Its word in commands, where its API lives, and how many calls it takes at once.
    name: ClassVar[str]
    prefix: ClassVar[str]
    connections: ClassVar[int | None] = None
    #: The web server it was put into.
    app: Flask

    def __init__(self, courier: Courier, mailbox: Mailbox, judge: Judge | None = None) -> None:
        self.courier = courier
        self.mailbox = mailbox
        self.judge = judge
        self.keeper = Keeper()
        self.lock = threading.RLock()
        self.trouble = Trouble()
        self.jobs = Jobs(lambda: self.trouble.mode in HOLDING)
        self.calls: deque[dict[str, Any]] = deque(maxlen=500)
        self.refusals: deque[str] = deque(maxlen=100)
        self._open = 0
        self._door = threading.Lock()

    @abstractmethod
    def routes(self) -> Iterable[Route]:
        """All addresses of the API."""

    @abstractmethod
    def allow(self) -> None:
        """Refuse the call unless its key is good."""

    @abstractmethod
    def problem(self, status: int, text: str = "") -> Response:
        """A general error in this ESP's own form."""

    @abstractmethod
    def throttled(self) -> Response:
        """The 429 of this ESP."""

    @abstractmethod
    def reset(self) -> None:
        """Back to the seeds."""

    @abstractmethod
    def person(self, email: str) -> dict[str, Any]:
        """How one address stands here."""

    @abstractmethod
    def people(self) -> list[str]:
        """Every address that is known here."""

    @abstractmethod
    def memory(self) -> Mapping[str, Any]:
        """What an ESP never forgets, for the keeper."""

    @abstractmethod
    def parts(self) -> Mapping[str, object]:
        """Its own parts, which jobs name."""

    @abstractmethod
    def purposes(self) -> list[str]:
        """Names of what people can be on here."""

    @abstractmethod
    def act(self, email: str, act: str, purpose: str) -> str:
        """Something happens to a person at this ESP; says what. Raises `ActError`."""

    def register(self, app: Flask) -> None:
        """Put the API into the web server."""
        self.app = app
        blueprint = Blueprint(self.name, __name__, url_prefix=self.prefix)
        for number, route in enumerate(
            [*self.routes(), Route("GET POST PUT PATCH DELETE", "/<path:rest>", self._nowhere)]
        ):
            blueprint.add_url_rule(
                route.path, f"r{number}", self._view(route), methods=route.methods.split(), strict_slashes=False
            )
        blueprint.before_request(self._enter)
        blueprint.after_request(self._after)
        blueprint.teardown_request(self._leave)
        blueprint.register_error_handler(Refusal, lambda refusal: refusal.response)
        blueprint.register_error_handler(HTTPException, lambda error: self.problem(error.code or 500))
        app.register_blueprint(blueprint)

    def search_lag(self, seconds: float) -> None:
        """How long search lags behind the jobs."""
        raise ActError(f"{self.name} has no search that lags ({seconds} s).")

    def change_mode(self, mode: str, seconds: float | None = None, every: int = 2, **chances: Any) -> None:
        """Trouble begins or ends. Jobs that were held in a strange order are done in it at once."""
        before, seed = self.trouble.mode, self.trouble.every
        self.trouble.set(mode, seconds, every, **chances)
        if before in ("reversed", "shuffled") and mode not in HOLDING:
            with self.lock:
                self.jobs.release(before, seed)
        self.courier.release(self.name)

    def open_jobs(self) -> int:
        """How many promises are still to be kept."""
        self.settle()
        with self.lock:
            return sum(job.finished is None for job in self.jobs.all.values())

    def settle(self) -> None:
        """Keep the promises that are due."""
        with self.lock:
            self.jobs.settle()
            self.keep()

    def keep(self) -> None:
        """Write down what changed, with the news of it, before anybody is answered or told."""
        if self.keeper.on:
            with self.lock, self.courier.held() as courier:
                self.keeper.write(self, courier)

    def _nowhere(self, rest: str) -> Response:  # noqa: ARG002 - the route's part
        return self.problem(404)

    def _view(self, route: Route) -> Callable[..., Any]:
        def view(**parts: str) -> Any:
            if not route.locked:
                answer = route.view(**parts)
                self.keep()
                return answer
            with self.lock:
                self.jobs.settle()
                try:
                    return route.view(**parts)
                finally:
                    self.keep()

        return view

    def _enter(self) -> Response | None:
        """The door: too many at once, trouble, key, judge. Calls an ESP makes to itself pass."""
        if request.environ.get("sandbox.inner"):
            return None
        with self._door:
            if self.connections is not None and self._open >= self.connections:
                return self.throttled()
            self._open += 1
            request.environ["sandbox.counted"] = True
        return self._suffer() or self._look()

    def _suffer(self) -> Response | None:
        mode = self.trouble.mode
        if mode == "down":
            return Response("<html>503 Service Temporarily Unavailable</html>", 503, content_type="text/html")
        if mode == "throttle":
            return self.throttled()
        if mode == "throttle-bare":
            bare = Response(b"", 429)
            del bare.headers["Content-Type"]
            return bare
        fate = self.trouble.fate()
        request.environ["sandbox.fate"] = fate
        if fate == "error" or (mode == "errors" and self.trouble.unlucky()):
            return self.problem(500)
        if "hang" in (mode, fate):
            request.get_data()  # what is left on the line then is only the caller's hanging up
            self.trouble.hold()
            if caller_left():
                return self.problem(503)
        return None

    def _look(self) -> Response | None:
        try:
            self.allow()
        except Refusal as refusal:
            return refusal.response
        if self.judge is None:
            return None
        try:
            self.judge(request)
        except Exception as error:  # the judge may raise what it likes
            self.refusals.append(f"{request.method} {request.path}: {error}")
            return self.problem(400, str(error))
        return None

    def _after(self, response: Response) -> Response:
        if not request.environ.get("sandbox.inner"):
            self.calls.append(
                {"method": request.method, "path": request.path, "status": response.status_code, "time": time.time()}
            )
            if "hang-after" in (self.trouble.mode, request.environ.get("sandbox.fate")):
                self.trouble.hold()
            if self.trouble.mode == "cut":
                response = half(response)
        self._leave()
        return response

    def _leave(self, _error: BaseException | None = None) -> None:
        """The call is over: before its answer goes out, so that the next call finds the door free."""
        if request.environ.pop("sandbox.counted", False):
            with self._door:
                self._open -= 1


def half(response: Response) -> Response:
    """The same answer, broken off in the middle: its head promises more than comes."""
    whole = response.get_data()
    response.response = [whole[: len(whole) // 2]]
    response.headers["Content-Length"] = str(len(whole))
    return response


def caller_left() -> bool:
    """Whether the program that made the current call has hung up meanwhile."""
    line: socket.socket | None = request.environ.get("werkzeug.socket")
    if line is None or not select.select([line], [], [], 0)[0]:
        return False
    try:
        return not line.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def body_of() -> Any:
    """The JSON body of the current call, None where there is none or it cannot be read."""
    return request.get_json(force=True, silent=True)


def fields_of() -> dict[str, Any]:
    """The JSON object of the current call, an empty one where there is none."""
    body = body_of()
    return body if isinstance(body, dict) else {}


def reply(content: object, status: int = 200) -> Response:
    """A JSON answer."""
    response = jsonify(content)
    response.status_code = status
    return response


def number(name: str, default: int, least: int, most: int) -> int | None:
    """A whole number of the query string; None when it is none or out of bounds."""
    text = request.args.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        return None
    return int(text)
