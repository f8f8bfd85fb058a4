"""The program that runs within the walls, after `codec`: it takes a job, runs what it is told and answers in frames.

It is sent in as text, so it needs no file, and it holds no secret: no expected value, no test, no nonce. Whoever takes it
over can answer what they like, and does not know what would be right. Frames are four bytes of length and JSON, one for each
request.
"""

# ruff: noqa: F821  (names of `codec`, which stands before this text)


def main():
    import json
    import os
    import resource
    import sys

    channel_in, channel_out = os.dup(0), os.dup(1)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    for descriptor in (channel_in, channel_out):
        os.set_inheritable(descriptor, False)
    write, read, dumps, loads = os.write, os.read, json.dumps, json.loads

    def receive():
        data = b""
        while len(data) < 4:
            data += (more := read(channel_in, 4 - len(data)))
            if not more:
                os._exit(0)
        size, data = int.from_bytes(data, "big"), b""
        while len(data) < size:
            data += (more := read(channel_in, min(1 << 20, size - len(data))))
            if not more:
                os._exit(0)
        return loads(data)

    def send(content):
        data = dumps(content).encode()
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[write(channel_out, data) :]

    send({"i": -1})
    job = receive()
    for name, value in job["limits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    sys.setrecursionlimit(5_000)
    {"function": serve_function, "stdio": serve_stdio, "referee": serve_referee}[job["mode"]](job, receive, send)
    os._exit(0)


def said(error):
    """Return an exception in one line."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except BaseException:
        return type(error).__name__[:100]


def serve_function(job, receive, send):
    """Load the code, then call its function for each request."""
    import sys
    import types

    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    module.__dict__["__name__"] = "solution"
    try:
        exec(compile(job["code"], "solution.py", "exec"), module.__dict__)
        if job["entry_point"] not in module.__dict__:
            raise NameError(f"there is no `{job['entry_point']}`")
    except BaseException as error:
        send({"i": 0, "error": said(error)})
        return
    send({"i": 0, "value": ["n", 0]})
    kept = []
    of_kept = {
        "#get": lambda at, name: getattr(kept[at], name),
        "#call": lambda at, args, kwargs: kept[at](*args, **kwargs),
        "#item": lambda at, key: kept[at][key],
        "#iter": lambda at: iter(kept[at]),
        "#next": lambda at: next(kept[at]),
        "#len": lambda at: len(kept[at]),
        "#str": lambda at: str(kept[at]),
    }
    while True:
        wanted = receive()
        try:
            args, function = decode(wanted["args"]), of_kept.get(wanted["name"]) or module.__dict__[wanted["name"]]
            value = function(*args, **decode(wanted["kwargs"]))
            tagged = encode(value)
            if job.get("relayed"):
                after = changed(wanted["args"], args) if value is None else ["n", 0]
                tagged = ["t", [tagged, after, ["n", 0]]]
                if tagged[1][0][0] == "o":
                    kept.append(value)
                    tagged[1][2] = encode(len(kept) - 1)
            answer = {"i": wanted["i"], "value": tagged}
        except TooLarge:
            answer = {"i": wanted["i"], "error": "TooLarge: the value is too deep or too large"}
        except BaseException as error:
            answer = {"i": wanted["i"], "error": said(error)}
        send(answer)


def changed(tagged, args):
    """Return tagged arguments as a call left them, or nothing where it left them as they were."""
    try:
        after = encode(args)
    except TooLarge:
        return ["n", 0]
    return ["n", 0] if after == tagged else after


def serve_stdio(job, receive, send):
    """Run the code as a program in a process of its own for each request."""
    import base64
    import os

    send({"i": 0, "value": ["n", 0]})
    while True:
        wanted = receive()
        ends_in, ends_out = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(ends_in[0], 0)
            os.dup2(ends_out[1], 1)
            os.closerange(3, 256)
            run_program(job["code"])
        os.close(ends_in[0])
        os.close(ends_out[1])
        out, whole = feed_and_read(wanted["stdin"].encode(), ends_in[1], ends_out[0], job["output_bytes"])
        status = os.waitpid(child, 0)[1]
        answer = {
            "i": wanted["i"],
            "code": os.waitstatus_to_exitcode(status),
            "out": base64.b64encode(out).decode(),
            "whole": whole,
        }
        send(answer)


def feed_and_read(data, end_in, end_out, most):
    """Write what a program reads and read what it writes, at most so many bytes."""
    import os
    import select

    os.set_blocking(end_in, False)
    out, writing = b"", True
    while True:
        if writing and not data:
            os.close(end_in)
            writing = False
        readable, writable, _ = select.select([end_out], [end_in] if writing else [], [])
        if writable:
            try:
                data = data[os.write(end_in, data[:65536]) :]
            except BrokenPipeError:
                data = b""
        if readable:
            more = os.read(end_out, 65536)
            out += more
            if not more or len(out) > most:
                if writing:
                    os.close(end_in)
                os.close(end_out)
                return out[:most], not more


def run_program(code):
    """Run code as `__main__` and end the process."""
    import os
    import sys
    import traceback
    import types

    sys.stdin = open(0, encoding="utf-8", errors="replace")
    sys.stdout = open(1, "w", encoding="utf-8", errors="replace")
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    ending = 0
    try:
        exec(compile(code, "solution.py", "exec"), module.__dict__)
    except SystemExit as end:
        ending = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        ending = 1
    try:
        sys.stdout.flush()
    except BaseException:
        ending = ending or 1
    os._exit(ending & 255)


class CandidateFailed(Exception):
    """What is tested raised an exception of its own."""


class NoData(Exception):
    """The tests hand over what cannot cross, such as a function."""


class Remote:
    """A value that stayed with the code: what its parts are is asked there, what it equals is not."""

    def __init__(self, ask, at, truth):
        self._ask, self._at, self._truth = ask, at, truth

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("#get", (self._at, name), {})

    def __call__(self, *args, **kwargs):
        return self._ask("#call", (self._at, list(args), kwargs), {})

    def __getitem__(self, key):
        return self._ask("#item", (self._at, key), {})

    def __iter__(self):
        return self._ask("#iter", (self._at,), {})

    def __next__(self):
        return self._ask("#next", (self._at,), {})

    def __len__(self):
        return self._ask("#len", (self._at,), {})

    def __str__(self):
        return self._ask("#str", (self._at,), {})

    def __bool__(self):
        return self._truth


def raised(text, ends):
    """Return an exception of the code as one of the same builtin type, for tests that expect it; it `ends` iterators alone."""
    import builtins

    name, _, words = text.partition(": ")
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and (ends or not issubclass(kind, StopIteration)):
        try:
            return type(name, (CandidateFailed, kind), {})(words)
        except TypeError:
            pass
    return CandidateFailed(text)


def asking(receive, send, state):
    """Return a function that asks the code, where it is, for a call."""

    def ask(name, args, kwargs):
        tagged = encode(list(args)), encode(kwargs)
        if holds_opaque(tagged):
            raise NoData("the tests hand a value to the code that is no data")
        state["i"] += 1
        send({"call": name, "args": tagged[0], "kwargs": tagged[1]})
        answer = receive()
        if "error" in answer:
            raise raised(answer["error"], ends=name == "#next")
        value, after, at = decode(answer["value"])
        # what returns something has no say over arguments, from which tests may work out what is right
        for mine, theirs in zip(args, after or ()) if value is None else ():
            if type(mine) is type(theirs) and type(mine) in (list, dict, set):
                mine.clear()
                (mine.extend if type(mine) is list else mine.update)(theirs)
        return value if at is None else Remote(ask, at, bool(value))

    return ask


def holds_opaque(tagged):
    """Return whether a tagged value has a part that does not cross."""
    return isinstance(tagged, (list, tuple)) and (
        len(tagged) == 2 and tagged[0] == "o" and isinstance(tagged[1], list) or any(holds_opaque(part) for part in tagged)
    )


def serve_referee(job, receive, send):
    """Run tests that are a program; what they call is somewhere else."""
    state = {"i": 0}
    ask = asking(receive, send, state)

    def stub(name):
        return lambda *args, **kwargs: ask(name, args, kwargs)

    def of_a_fresh_object(*args, **kwargs):
        return getattr(ask(job["entry_point"], (), {}), job["method"])(*args, **kwargs)

    candidate = of_a_fresh_object if job["method"] else stub(job["entry_point"])
    names = {"__name__": "tests", "candidate": candidate, **{name: stub(name) for name in job["names"]}}
    try:
        exec(compile(job["code"], "tests.py", "exec"), names)
        for name in job["run"]:
            run_tests(names[name], candidate)
    except AssertionError as error:
        send({"failed": said(error)})
    except CandidateFailed as error:
        send({"failed": f"the code raised {said(error)}"[:500]})
    except BaseException as error:
        # what the tests make of a value (`None - 5`) is the code's fault; what they lack themselves is theirs
        lacking = (NameError, ImportError, SyntaxError, MemoryError, SystemExit, NoData)
        send({"broken" if state["i"] == 0 or isinstance(error, lacking) else "failed": said(error)})
    else:
        send({"passed": state["i"]})


def run_tests(tests, candidate):
    """Run a function of tests, which may say that they failed by returning so, or each test of a class."""
    if isinstance(tests, type):
        for name in sorted(dir(tests)):
            if name.startswith("test"):
                tests(name).debug()
        return
    said = tests(*[candidate] * tests.__code__.co_argcount)
    assert said is None or said, f"the tests returned {said!r}"
