"""From a teacher's address in a recipe to a teacher, and the rule for keys.

A recipe is hostile input and may name any variable and any host. So a key is taken from the environment by name, and goes
only to the hosts of the provider that it belongs to; for any other host the *person* says so, outside of the recipe, with
`--allow-key NAME=HOST`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pydantic import ValidationError

from gristmill.errors import InputError
from gristmill.records import TeacherIdentity
from gristmill.registry import nearest
from gristmill.teachers.recorded import RecordedTeacher
from gristmill.teachers.scripted import Script, ScriptedTeacher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gristmill.ports import Teacher
    from gristmill.recipe.model import TeacherSpec


class Provider(NamedTuple):
    """A provider: where it is, which variable holds its key, and which wire formats it speaks, the usual one first."""

    base_url: str
    key_env: str | None
    apis: tuple[str, ...] = ("chat",)


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("https://api.openai.com/v1", "OPENAI_API_KEY", ("chat", "responses")),
    "anthropic": Provider("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", ("messages",)),
    "deepseek": Provider("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "openrouter": Provider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Provider("https://api.together.ai/v1", "TOGETHER_API_KEY"),
}
"""Hosted providers. Sources: each provider's own quickstart."""
LOCAL: Mapping[str, Provider] = {"ollama": Provider("http://127.0.0.1:11434/v1", None)}
"""Servers on this machine whose place is known."""
SERVERS: Mapping[str, str | None] = {"vllm": None, "sglang": None, "azure": "AZURE_OPENAI_API_KEY", "http": None, "https": None}
"""Kinds of server whose URL the recipe gives, with the variable that holds their key where there is a usual one."""
ONE_MODEL = ("vllm", "sglang")
"""Servers that serve one model and say which."""
KEY_HEADERS: Mapping[str, tuple[str, str]] = {"azure": ("api-key", "")}
"""The header for the key, where it is not the wire format's own."""
BUILTIN: Mapping[str, str] = {"builtin": "builtin-teacher.f16.gguf", "builtin-student": "builtin-student.f16.gguf"}
"""The models that ship, by address."""
SCHEMES = ("recorded", "scripted", *SERVERS, *PROVIDERS, *LOCAL)
FORMS: Mapping[str, str] = {
    "builtin": "A tiny model that ships, in this process: word problems (the `local` extra).",
    "builtin-student": "A weaker model that ships, in this process (the `local` extra).",
    "FILE.gguf": "A model file of your own, in this process (the `local` extra).",
    "recorded:FILE": "Completions that somebody recorded; no call.",
    **{f"{name}:MODEL": f"A model at {p.base_url}; the key is in {p.key_env}." for name, p in PROVIDERS.items()},
    **{f"{name}:MODEL": f"A model at {p.base_url}; no key." for name, p in LOCAL.items()},
    "azure:https://NAME.openai.azure.com/openai/v1": "A deployment at Azure OpenAI; the key is in AZURE_OPENAI_API_KEY.",
    "vllm:http://HOST:PORT/v1": "A vLLM server; it says which model it serves.",
    "sglang:http://HOST:PORT/v1": "An SGLang server; it says which model it serves.",
    "http://HOST:PORT/v1": "Any server that speaks the wire format in `api`; also https.",
    "scripted:": "Answers by rule, for tests.",
}
"""How an address is written, with one line of help each."""
_EXAMPLES = ", ".join(form for form in FORMS if form != "scripted:")


class Environment(NamedTuple):
    """What the person gives, and a recipe cannot: variables, and which key may go to which further host."""

    variables: Mapping[str, str]
    allowed_keys: frozenset[tuple[str, str]] = frozenset()
    """Pairs of variable name and host."""


def check_url(url: str) -> str | None:
    """Return what is wrong with a server's address, or None."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https"):
        return "it must begin with http:// or https://"
    if not parts.hostname:
        return "it names no host"
    if parts.username or parts.password:
        return "a key does not belong into an address: name its variable under `key_env`"
    return None


class Endpoint(NamedTuple):
    """Where a teacher's calls go, as `check` shows it."""

    kind: str
    target: str
    model: str
    """Empty where the server is to say it."""
    key_env: str | None
    api: str = "chat"
    """The wire format."""


def endpoint(spec: TeacherSpec) -> Endpoint:
    """Return where a teacher's calls would go, without opening anything.

    Raises:
        InputError: where the address cannot be understood, or cannot give what the recipe wants of it.
    """
    place = _endpoint(spec)
    if spec.choices > 1 and not (place.api == "chat" and place.target.startswith("http")):
        raise InputError(
            f"`{spec.address}` gives one answer a request, and not {spec.choices}",
            fix="Take `choices` away: only servers that speak `api: chat` give several.",
        )
    return place


def _endpoint(spec: TeacherSpec) -> Endpoint:
    if spec.address in BUILTIN:
        return Endpoint("builtin", BUILTIN[spec.address], spec.address, None)
    if _names_file(spec.address):
        if spec.api not in (None, "chat", "text"):
            raise InputError(f"a model file does not speak `api: {spec.api}`", fix="It speaks: chat, text.")
        kind = "gguf-text" if spec.api == "text" else "gguf"
        return Endpoint(kind, spec.address, spec.model or Path(spec.address).stem, None, spec.api or "chat")
    scheme, _, rest = spec.address.partition(":")
    if scheme not in SCHEMES:
        near = nearest(scheme, [*BUILTIN, *(f"{name}:" for name in SCHEMES)])
        meant = f"Did you mean `{near}`? " if near else ""
        raise InputError(f"the teacher address `{spec.address}` is not known", fix=f"{meant}Write {_EXAMPLES}.")
    if scheme in ("recorded", "scripted"):
        if scheme == "recorded" and not rest:
            raise InputError("`recorded:` names no file", fix="Write `recorded:completions.jsonl`.")
        return Endpoint(scheme, rest, spec.model or Path(rest).name or "scripted", None)
    provider = PROVIDERS.get(scheme) or LOCAL.get(scheme)
    return _served(spec, scheme, rest) if provider is None else _provided(spec, provider, scheme, rest)


def _provided(spec: TeacherSpec, provider: Provider, scheme: str, name: str) -> Endpoint:
    """Return where the calls to a provider go."""
    if not (name or spec.model):
        raise InputError(f"`{spec.address}` names no model", fix=f"Write `{scheme}:MODEL`.")
    api = spec.api or provider.apis[0]
    if api not in provider.apis:
        raise InputError(f"{scheme} does not speak `api: {api}`", fix=f"It speaks: {', '.join(provider.apis)}.")
    return Endpoint(scheme, provider.base_url, spec.model or name, spec.key_env or provider.key_env, api)


def _served(spec: TeacherSpec, scheme: str, rest: str) -> Endpoint:
    """Return where the calls to a server go whose URL the recipe gives."""
    if spec.api == "text":
        raise InputError(f"`api: text` is for model files, and `{spec.address}` is a server", fix="Leave `api` away.")
    kind, url = ("http", spec.address) if scheme in ("http", "https") else (scheme, rest)
    wrong = check_url(url)
    if wrong:
        raise InputError(f"the teacher address `{spec.address}` cannot be used: {wrong}", fix=f"Write {_EXAMPLES}.")
    if not spec.model and kind not in ONE_MODEL:
        raise InputError(
            f"`{spec.address}` does not say which model",
            fix=f"Write `teacher: {{address: {spec.address}, model: NAME}}`.",
        )
    return Endpoint(kind, url, spec.model or "", spec.key_env or SERVERS[scheme], spec.api or "chat")


def _names_file(address: str) -> bool:
    return address.endswith(".gguf") and "://" not in address


def model_file(address: str, base: Path) -> Path | None:
    """Return the file of a model that runs in this process, or None where the address is of another kind."""
    if address in BUILTIN:
        return shipped_models() / BUILTIN[address]
    return base / Path(address).expanduser() if _names_file(address) else None


def shipped_models() -> Path:
    """Return the folder of the models that ship, with their checksums."""
    return Path(str(resources.files("gristmill.assets") / "models"))


def open_teacher(spec: TeacherSpec, base: Path, environment: Environment) -> Teacher:
    """Return the teacher at an address; relative files are relative to `base`.

    Raises:
        InputError: where the address, the file, the script or the key is not right.
    """
    place = endpoint(spec)
    file = model_file(spec.address, base)
    if file is not None:
        from gristmill.teachers.gguf import GgufTeacher  # brings a model runtime

        return GgufTeacher(file, provider=place.kind, continues=place.api == "text")
    if place.kind == "recorded":
        return RecordedTeacher(base / place.target)
    if place.kind == "scripted":
        try:
            script = Script.model_validate(spec.script)
        except ValidationError as error:
            detail = error.errors()[0]
            path = ".".join(map(str, detail["loc"]))
            raise InputError(f"the script of the teacher is wrong at `{path}`: {detail['msg']}", fix="See Script.") from None
        if script.log:
            script = script.model_copy(update={"log": str(base / script.log)})
        return ScriptedTeacher(script, model=place.model, revision=spec.revision)
    from gristmill.teachers.http import HttpTeacher, Server  # its client library takes longer to load than all of ours

    return HttpTeacher(
        Server(
            place.target,
            place.api,
            key_for(place, environment),
            KEY_HEADERS.get(place.kind),
            spec.timeout_s,
            spec.most_in_flight,
            spec.extra_headers,
        ),
        TeacherIdentity(provider=place.kind, model=place.model, revision=spec.revision),
        stream=spec.stream,
        patience_s=spec.wait_s,
        extra_body=spec.extra_body,
        choices=spec.choices,
    )


async def open_ready(spec: TeacherSpec, base: Path, environment: Environment, say: Callable[[str], None]) -> Teacher:
    """Open the teacher at an address; wait for a server that is not up where the recipe says so, and ask which model it serves.

    Args:
        spec: The teacher.
        base: The folder that files are relative to.
        environment: What the person gives.
        say: Told what is waited for.

    Raises:
        InputError: as `open_teacher` does, or where the server serves several models.
        TeacherDown: where the server does not come up, or does not say what it serves.
    """
    teacher = open_teacher(spec, base, environment)
    place = endpoint(spec)
    if place.model and not spec.wait_for:
        return teacher
    from gristmill.teachers.discovery import make_ready  # it knows the client library
    from gristmill.teachers.http import HttpTeacher

    try:
        if isinstance(teacher, HttpTeacher):
            await make_ready(teacher, say)
    except BaseException:
        await teacher.close()
        raise
    return teacher


def key_for(place: Endpoint, environment: Environment) -> str | None:
    """Return the key for an endpoint, or None where it needs none.

    Raises:
        InputError: where the variable is not set, or the key may not go to that host.
    """
    if place.key_env is None:
        return None
    host = urlsplit(place.target).hostname or ""
    own = {urlsplit(p.base_url).hostname for p in PROVIDERS.values() if p.key_env == place.key_env}
    if host not in own and (place.key_env, host) not in environment.allowed_keys:
        raise InputError(
            f"the recipe would send the key in {place.key_env} to {host}",
            fix=f"If that is what you want, say so: `--allow-key {place.key_env}={host}`.",
        )
    key = environment.variables.get(place.key_env, "").strip()
    if not key:
        raise InputError(
            f"the key is missing: the variable {place.key_env} is not set", fix=f"Run `export {place.key_env}=…` first."
        )
    return key
