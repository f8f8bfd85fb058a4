"""TLS with an authority of one's own: a real server, whose certificate only that authority vouches for."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from tests.servers import serving
from tests.teachers.asking import a_request, ask, fault_of, http

from gristmill.errors import InputError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the command openssl")
EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n"


def openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an authority (`ca.pem`) and a certificate of it for this machine (`server.pem`)."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "extensions").write_text(EXTENSIONS)
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    extensions = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
    openssl(folder, f"req -x509 {curve} -keyout ca.key -out ca.pem -days 2 -subj /CN=ours {extensions}")
    openssl(folder, f"req {curve} -keyout server.key -out server.csr -subj /CN=127.0.0.1")
    openssl(folder, "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -out server.pem -extfile extensions")
    return folder


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    """Return what a server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem", authority / "server.key")
    return context


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_an_authority_that_the_environment_names_is_trusted(
    variable: str, authority: Path, context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(authority / "ca.pem"))
    with serving(tls=context) as server:
        assert server.url.startswith("https:")
        (reply,) = ask(http(server.url), a_request())
    assert reply.message.content.startswith("answer ")


def test_an_authority_that_nobody_named_is_not(context: ssl.SSLContext) -> None:
    with serving(tls=context) as server:
        fault = fault_of(http(server.url), a_request())
        assert server.requests == []
    assert (fault.kind, fault.code) == ("fatal", "tls")
    assert "SSL_CERT_FILE" in str(fault)


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "nowhere.pem", tmp_path / "empty.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(InputError, match=path.name) as caught:
            http("https://127.0.0.1:1/v1")
        assert "SSL_CERT_FILE" in caught.value.fix
