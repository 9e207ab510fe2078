"""Run nginx, HAProxy or Squid on a free port of this machine, for one test.

They are used where they are installed; a test that wants one that is not is skipped.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SECONDS_TO_START = 20.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)  # Squid gives up being root
        yield folder


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        end = time.monotonic() + _SECONDS_TO_START
        while not _listens(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(server: str, *, http: str = "", tls: bytes | None = None) -> Iterator[str]:
    """Serve what stands inside `server { … }`, and yield its URL; `tls`: key and certificate."""
    port = free_port()
    with _folder() as folder:
        listen = f"listen 127.0.0.1:{port}"
        if tls is not None:
            (folder / "pem").write_bytes(tls)
            listen += f" ssl; ssl_certificate {folder}/pem; ssl_certificate_key {folder}/pem"
        temporary = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary}\n{http}\n"
            f"server {{ {listen};\n{server}\n}} }}\n"
        )
        command = [_program("nginx"), "-c", f"{folder}/conf", "-p", str(folder)]
        with _running([*command, "-e", "stderr"], port, folder):
            yield f"http{'' if tls is None else 's'}://127.0.0.1:{port}"


@contextmanager
def haproxy(frontend: str, backend: str = "") -> Iterator[str]:
    """Serve what stands in a frontend and its backend, and yield its URL."""
    port = free_port()
    with _folder() as folder:
        (folder / "conf").write_text(
            "defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n"
            f"frontend it\n bind 127.0.0.1:{port}\n {frontend}\n default_backend api\n"
            f"backend api\n {backend}\n"
        )
        with _running([_program("haproxy"), "-db", "-f", f"{folder}/conf"], port, folder):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def squid(rules: str, password: str | None = None) -> Iterator[int]:
    """Be a proxy with these rules, and yield its port; `password`: that of the user `ada`."""
    program, port = _program("squid"), free_port()
    with _folder() as folder:
        if password is not None:
            shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
            libexec = re.search(r"--libexecdir=([^' ]+)", shown.stdout)
            assert libexec is not None
            hashed = subprocess.run(
                ["openssl", "passwd", "-apr1", password], capture_output=True, text=True, check=True
            )
            (folder / "passwords").write_text(f"ada:{hashed.stdout}")
            rules = (
                f"auth_param basic program {libexec[1]}/basic_ncsa_auth {folder}/passwords\n"
                f"acl known proxy_auth REQUIRED\nhttp_access deny !known\n{rules}"
            )
        (folder / "conf").write_text(
            f"http_port 127.0.0.1:{port}\npid_filename none\naccess_log none\n"
            f"cache_log {folder}/log\ncache deny all\ncoredump_dir {folder}\n"
            f"shutdown_lifetime 0 seconds\nconnect_timeout 1 second\n{rules}\n"
        )
        with _running([program, "-N", "-f", f"{folder}/conf"], port, folder):
            yield port
