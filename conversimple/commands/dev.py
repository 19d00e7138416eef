"""``conversimple dev``: agents that follow their code, and a console for them."""

from __future__ import annotations

import asyncio
import secrets
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..local import LocalPlatform, PlatformExtraMissing, PortInUse
from ..settings import is_loopback
from .failure import FAILED, UsageMistake

if TYPE_CHECKING:
    from ..dev.printing import Printer

HOST = "127.0.0.1"
EVERYWHERE = ("0.0.0.0", "::")
PORTS = range(4000, 4100)
LOCAL_KEY = "dev"
SOURCE = "dev"


def main(arguments: Namespace) -> int:
    """Serve the agents until a signal comes."""
    try:
        from ..dev import watching
        from ..dev.printing import Printer
    except ModuleNotFoundError as error:
        raise PlatformExtraMissing(
            f'dev needs {error.name}: pip install "conversimple-sdk[platform]"'
        ) from error
    folder = watching.folder_of(arguments.target)
    if arguments.record:
        _check_writable(Path(arguments.record))
    printer = Printer()
    token = None if is_loopback(arguments.host) else secrets.token_urlsafe()
    with opened(arguments.port, arguments.host, token) as platform:
        _greet(platform, arguments, token, printer)
        ended = _serve(platform, arguments, token, printer, folder)
    printer.line(SOURCE, "the local platform has stopped")
    return 0 if ended else FAILED


@contextmanager
def opened(port: int | None, host: str, token: str | None) -> Iterator[LocalPlatform]:
    """A platform with a console, on a port, or on the first free one for None.

    Raises:
        PortInUse: the port is taken, or all are.
        UsageMistake: nobody can listen there.
    """
    wanted = PORTS if port is None else (port,)
    for each in wanted:
        platform = LocalPlatform(
            each, strict=False, console=True, host=host, token=token
        )
        # As the platform may: what was lost on the way is asked again.
        platform.redelivery = True
        try:
            platform.start()
        except PortInUse:
            if each == wanted[-1]:
                raise
        except OSError as error:
            raise UsageMistake(
                f"cannot listen on port {each} of {host}: {error.strerror}; "
                "--host takes an address of this machine, and --port 0 any free port"
            ) from error
        else:
            break
    try:
        yield platform
    finally:
        platform.stop()


def address_of(host: str, port: int, token: str | None) -> str:
    """The address of the console."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"#token={token}" if token else "")


def _greet(
    platform: LocalPlatform, arguments: Namespace, token: str | None, printer: Printer
) -> None:
    port = platform.port
    if arguments.port is None and port != PORTS[0]:
        printer.line(SOURCE, f"port {PORTS[0]} is taken", "yellow")
    address = address_of(arguments.host, port, token)
    printer.line(SOURCE, f"the console is at {address}", "bold")
    if token is not None:
        printer.line(SOURCE, "whoever has this address can call the tools", "yellow")
    printer.line(SOURCE, "Ctrl-C ends it")


def _serve(
    platform: LocalPlatform,
    arguments: Namespace,
    token: str | None,
    printer: Printer,
    folder: Path,
) -> bool:
    from ..dev.child import Child, Listeners, Order
    from ..dev.hosting import DevHost
    from ..dev.panel import Panel
    from ..dev.recording import Recording
    from ..dev.reload import Supervisor
    from ..dev.session import Desk, run

    panel = Panel(platform, arguments.target)
    recording = Recording() if arguments.record else None
    host = DevHost(platform, printer)
    desk = Desk(printer, panel, host)
    panel.observe(desk.commanded, *([recording.note] if recording else []))
    order = Order(
        arguments.target,
        url_for_agents(platform, arguments.host),
        token or LOCAL_KEY,
        arguments.verbose,
    )

    async def spawn(listeners: Listeners) -> Child:
        return await Child.start(order, listeners)

    async def serve() -> bool:
        supervisor = Supervisor(spawn, desk)
        return await run(supervisor, host, desk, folder if arguments.reload else None)

    try:
        return asyncio.run(serve())
    finally:
        if recording is not None:
            recording.write(Path(arguments.record))
            printer.line(SOURCE, f"recorded in {arguments.record}")


def url_for_agents(platform: LocalPlatform, host: str) -> str:
    """The platform's address for agents on this machine."""
    if host in EVERYWHERE:
        return platform.url
    name = f"[{host}]" if ":" in host else host
    return platform.url.replace(f"//{HOST}:", f"//{name}:")


def _check_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageMistake(f"there is no folder {path.parent} for {path.name}")
    if path.is_dir():
        raise UsageMistake(f"{path} is a folder; name a file to record in")
