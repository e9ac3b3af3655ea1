"""nginx, haproxy and Apache as shipped, adapted to ports of this machine."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.tools import DEPLOY, adapted, succeeds, tool
from support.loopback import free_port, self_signed

__all__ = ["PREFIX", "PROXIES", "Proxy", "Upstream", "in_front_of"]

PREFIX = "/ccgateway"
MODULES = Path("/usr/lib/apache2/modules")


@dataclass(frozen=True)
class Upstream:
    """What a proxy is put in front of."""

    port: int
    grpc_port: int
    key: str = ""
    #: of a second one, where there is one
    other_port: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> list[int]:
        return [self.port] if self.other_port is None else [self.port, self.other_port]


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    name: str
    port: int
    certificate: Path

    def client(self, key: str = "") -> httpx.Client:
        headers = {"X-Auth-Token": key} if key else {}
        url = f"https://localhost:{self.port}"
        trusted = ssl.create_default_context(cafile=self.certificate)
        return httpx.Client(base_url=url, verify=trusted, headers=headers, timeout=30)


def nginx(folder: Path, upstream: Upstream, port: int, certificate: Path, key: Path) -> list[str]:
    """Its command, with what Debian's nginx.conf has around the shipped file."""
    changes = {
        "server 127.0.0.1:8080 max_fails=0;": "".join(f"server 127.0.0.1:{one} max_fails=0;" for one in upstream.ports),
        "127.0.0.1:9090": f"127.0.0.1:{upstream.grpc_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "gateway.example.org;": "localhost;",
        "/etc/ssl/gateway.example.org.pem": str(certificate),
        "/etc/ssl/private/gateway.example.org.key": str(key),
    }
    (folder / "ccgateway.conf").write_text(adapted((DEPLOY / "nginx" / "ccgateway.conf").read_text(), changes))
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/log;\nevents {{}}\n"
        f"http {{ access_log off; {temporary} include {folder}/ccgateway.conf; }}\n"
    )
    command = [tool("nginx", "nginx"), "-e", f"{folder}/log", "-c", str(config)]
    succeeds(*command, "-t")
    return command


def haproxy(folder: Path, upstream: Upstream, port: int, certificate: Path, key: Path) -> list[str]:
    """Its command."""
    both = folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    changes = {
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/gateway.example.org.pem": str(both),
        "192.0.2.11:8080": f"127.0.0.1:{upstream.port}",
        "192.0.2.12:8080": f"127.0.0.1:{upstream.ports[-1]}",
        "192.0.2.11:9090": f"127.0.0.1:{upstream.grpc_port}",
        "192.0.2.12:9090": f"127.0.0.1:{upstream.grpc_port}",
    }
    config = folder / "haproxy.cfg"
    config.write_text(adapted((DEPLOY / "haproxy" / "haproxy.cfg").read_text(), changes))
    command = [tool("haproxy", "haproxy"), "-db", "-f", str(config)]
    succeeds(*command, "-c")
    return command


def apache(folder: Path, upstream: Upstream, port: int, certificate: Path, key: Path) -> list[str]:
    """Its command, with the modules that the shipped file tells to switch on."""
    program = tool("apache2", "apache2")
    shipped = (DEPLOY / "apache" / "ccgateway.conf").read_text()
    (enabled,) = re.findall(r"a2enmod ([\w ]+) &&", shipped)
    always = ["mpm_event", "authz_core", "alias"]  # as Debian has them
    changes = {
        "127.0.0.1:8080": f"127.0.0.1:{upstream.port}",
        "<VirtualHost *:443>": f"<VirtualHost 127.0.0.1:{port}>",
        "ServerName gateway.example.org": "ServerName localhost",
        "/etc/ssl/gateway.example.org.pem": str(certificate),
        "/etc/ssl/private/gateway.example.org.key": str(key),
    }
    modules = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in [*always, *enabled.split()])
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    config = folder / "apache.conf"
    config.write_text(
        f"ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nErrorLog {folder}/log\nDefaultRuntimeDir {folder}\n"
        f"{modules}{user}Listen 127.0.0.1:{port}\n{adapted(shipped, changes)}"
    )
    command = [program, "-f", str(config)]
    succeeds(*command, "-t")
    return [*command, "-D", "FOREGROUND"]


PROXIES: dict[str, Callable[[Path, Upstream, int, Path, Path], list[str]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
    "apache": apache,
}


@contextmanager
def in_front_of(upstream: Upstream, name: str, folder: Path) -> Iterator[Proxy]:
    """The proxy, once it lets requests through."""
    certificate, key = self_signed(folder)
    folder.chmod(0o755)
    port = free_port()
    command = PROXIES[name](folder, upstream, port, certificate, key)
    with (folder / "output").open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            proxy = Proxy(name, port, certificate)
            with proxy.client() as client:
                for _ in range(300):
                    try:
                        if client.get(f"{PREFIX}/health/live").status_code == 200:
                            break
                    except httpx.TransportError:
                        pass
                    assert process.poll() is None, (folder / "output").read_text()
                    time.sleep(0.05)
            yield proxy
        finally:
            process.terminate()
