"""Where the gateway listens: sockets of its own, by address or path, or those that a service manager hands over."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from errno import EADDRINUSE
from pathlib import Path

from ccgateway.errors import SettingsError
from ccgateway.settings import ServerSettings, Settings

__all__ = ["activated", "bind", "is_taken", "listeners_for", "one_more", "reserved", "url_of"]

BACKLOG = 2048
#: who may connect to a Unix socket: its owner and group
UNIX_MODE = 0o660
#: the first file that a service manager hands over
FIRST_FD = 3


def listeners_for(settings: Settings, workers: int) -> list[socket.socket]:
    """The sockets that listen where the settings say, one for each worker. Raises ``SettingsError`` if that cannot be had.

    By address each worker has a socket of its own, and the kernel gives each of them its share of the connections; a Unix socket
    is one for all.
    """
    if settings.server.unix_socket is not None:
        return [_bind_unix(settings.server.unix_socket)] * workers
    if workers == 1:
        return [bind(settings.server)]
    with bind(settings.server) as first:  # whoever shares the port might be anybody: free is what nobody shares
        family, address = first.family, first.getsockname()[:2]
    try:
        listeners = [_sharing(family, address) for _ in range(workers)]
    except OSError as error:
        raise _not_bound("server", settings.server.host, settings.server.port, error) from None
    for listener in listeners:
        listener.listen(BACKLOG)
    return listeners


def one_more(listener: socket.socket) -> socket.socket:
    """Another socket at the address of one that shares its port, which does not listen yet. Raises ``OSError``."""
    return _sharing(listener.family, listener.getsockname()[:2])


def _sharing(family: int, address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # as with one worker: who names :: has not named all IPv4 addresses
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def bind(server: ServerSettings) -> socket.socket:
    """A socket that listens where the settings say. Raises ``SettingsError`` if that cannot be had."""
    host = server.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise _not_bound("server", host, server.port, error) from None


def _not_bound(section: str, host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, socket.gaierror):
        return SettingsError(f"{section}.host", f"{host} is not an address of this machine", "Use 127.0.0.1 or ::1.")
    if error.errno == EADDRINUSE:
        other = "with --port" if section == "server" else "port"
        remedy = f"Stop what listens there, or choose another {other} (0 picks a free one)."
        return SettingsError(f"{section}.port", f"{port} is in use on {host}", remedy)
    problem = f"cannot listen on {host}, port {port} ({error.strerror})"
    return SettingsError(f"{section}.host", problem, "Choose an address of this machine and a port you may use.")


def _bind_unix(path: Path) -> socket.socket:
    key = "server.unix_socket"
    if is_taken(path):
        raise SettingsError(key, f"{path} is in use", "Stop what listens there, or choose another path.")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if stat.S_ISSOCK(path.stat().st_mode):  # of one that was killed
            path.unlink()
    except OSError:
        pass  # there is none, or to bind will tell
    before = os.umask(0o777 & ~UNIX_MODE)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        remedy = "Choose a path of at most 100 characters, in a folder that the gateway may write to."
        raise SettingsError(key, f"cannot listen on {path} ({error.strerror or error})", remedy) from None
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def is_taken(path: Path) -> bool:
    """Whether somebody listens on that Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def activated(environment: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The sockets that a service manager hands over (socket activation); none if it hands over none. Takes the variables away, so
    that no process started from here takes them for its own."""
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdigit():
        return []
    return [socket.socket(fileno=number) for number in range(FIRST_FD, FIRST_FD + int(count))]


@contextmanager
def reserved(settings: Settings) -> Iterator[Settings]:
    """The settings with the port that gRPC listens on, kept for this gateway while its processes come and go: nobody else gets
    it, and they share it. Raises ``SettingsError`` if it cannot be had."""
    grpc = settings.grpc
    if grpc.port is None:
        yield settings
        return
    host = grpc.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, grpc.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        if grpc.port:
            # whoever listens there might share it with anybody of the same user: free is what nobody shares
            socket.create_server(address[:2], family=family).close()
        holder = socket.socket(family)
    except OSError as error:
        raise _not_bound("grpc", host, grpc.port, error) from None
    with holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address[:2])
        port = holder.getsockname()[1]
        yield settings.model_copy(update={"grpc": grpc.model_copy(update={"port": port})})


def url_of(listener: socket.socket, *, has_tls: bool = False) -> str:
    """The address of a listening socket as a browser on this machine takes it; of a Unix socket as curl names it."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}:"
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    scheme = "https" if has_tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
