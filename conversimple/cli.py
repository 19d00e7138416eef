"""The ``conversimple`` command: what can be typed; `conversimple.commands` does it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from argparse import RawDescriptionHelpFormatter as AsWritten
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

from . import __version__

INTERRUPTED = 130

EXIT_CODES = "exit codes: 0 all is well, 1 it failed, 2 it cannot be done as typed"

DEMO = """\
Start a local platform and a weather agent, hold a short conversation between them over
a WebSocket, and show what happens: calls, a refused call, a cut connection. It takes a
few seconds and needs neither an account nor a network.
"""
RUN = """\
Run an agent against the configured platform until SIGINT or SIGTERM. The first signal
lets running calls finish and be answered, the second stops at once. The log goes to
standard error; CONVERSIMPLE_LOG_LEVEL sets the level of the SDK's part of it.

If a folder is named, all agents in it are run: each conversation that is ready gets an
agent of its own, the one whose agent_id the platform names. See docs/fleet.md.
"""
DISPATCHER = """\
Serve many conversations: each that is ready gets an agent of its own, of the class
whose agent_id the platform names. The classes are found in files and packages under the
search path. Several workers share the conversations if they have the same --claims. The
first SIGINT or SIGTERM hands the conversations over, the second stops at once.
"""
PLATFORM = """\
Serve agents on 127.0.0.1 and print one line for each event, until Ctrl-C or SIGTERM.
Any API key is let in. When an agent joins, a conversation is started for its customer,
so that the agent's callbacks run and its tools are registered and shown.
"""
DEV = """\
Run the agents of a file, a module or a folder against a local platform, and serve a
console in the browser in which their tools can be called and their connection broken.
When a file changes, the agents are started anew; as long as the code is wrong, the old
one keeps serving. One line is printed for each event, until Ctrl-C or SIGTERM. No
account is needed. Watched are the Python files of the folder, and next to PATH also
.env, .cfg, .ini, .toml and .yaml.
"""
TOOLS = """\
Show the tools of an agent class as the platform is told of them. Nothing is dialled,
no agent is made, and no API key is needed.
"""
CALL = """\
Call one tool here, without a platform, and print its result as JSON. The arguments are
checked as those of a real call, and no API key is needed. NAME=VALUE is text where the
tool takes text, and is read as JSON where it does not; NAME:=JSON is always JSON.
"""
CHECK = """\
Go from the settings to the platform's welcome, step by step: settings, DNS, TCP, TLS,
handshake, join. It ends at the first step that fails, and says what to do about it. The
API key is never shown.
"""

TEST = """\
Hold scripted conversations with an agent on a local platform, in this process, and
report step by step what was answered and what was expected. Each scenario has a new
agent and a new platform. What a file may hold is told in docs/scenarios.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: what was typed after ``conversimple``; None takes it from the process.

    Returns:
        The exit code: 0 all is well, 1 it failed, 2 it cannot be done as typed.

    Raises:
        SystemExit: 2 when what was typed cannot be read, 0 for help and version.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    return _guarded(arguments)


def dispatcher(argv: Sequence[str] | None = None) -> int:
    """Run the command ``conversimple-dispatcher``; arguments and result as of `main`.

    Raises:
        SystemExit: 2 when what was typed cannot be read, 0 for help and version.
    """
    parser = ArgumentParser(
        prog="conversimple-dispatcher",
        description=DISPATCHER,
        epilog=EXIT_CODES,
        formatter_class=AsWritten,
    )
    _add_version(parser)
    parser.set_defaults(command="run", dispatches=True, conversation_id=None)
    _add_settings(parser)
    parser.add_argument(
        "--search-path",
        dest="target",
        metavar="PATH",
        default=".",
        help="a folder, file or module with the agents (default: the current folder)",
    )
    _add_sharing(parser)
    _add_health(parser)
    _add_verbose(parser)
    return _guarded(parser.parse_args(argv))


def _guarded(arguments: Namespace) -> int:
    try:
        return _carry_out(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_output()
        return 1


def _carry_out(arguments: Namespace) -> int:
    # Only what is asked for is imported: the help must be there at once.
    from .commands.failure import report
    from .commands.logs import configure_logging

    try:
        if arguments.verbose:
            configure_logging()
        command = import_module(f".commands.{arguments.command}", __package__)
        code: int = command.main(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Exception as error:
        return report(error, arguments.verbose)
    return code


def _silence_output() -> None:
    # The interpreter flushes once more at its end, and would complain.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="conversimple",
        description="Run, try and check agents of the Conversimple platform.",
        epilog=EXIT_CODES,
    )
    _add_version(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        options = commands.add_parser(
            name,
            help=command.summary,
            description=command.text,
            epilog=EXIT_CODES,
            formatter_class=AsWritten,
        )
        command.add_options(options)
        _add_verbose(options)
    return parser


def _add_version(options: ArgumentParser) -> None:
    version = f"%(prog)s {__version__}"
    options.add_argument("--version", action="version", version=version)


def _add_verbose(options: ArgumentParser) -> None:
    options.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show the log, and the traceback of a failure",
    )


def _add_nothing(options: ArgumentParser) -> None:
    """The command takes no options of its own."""


def _add_target(options: ArgumentParser) -> None:
    options.add_argument(
        "target",
        metavar="FILE_OR_MODULE[:Class]",
        help="a Python file or a module, and its agent class if it has several",
    )


def _add_settings(options: ArgumentParser) -> None:
    options.add_argument(
        "--api-key",
        metavar="KEY",
        help="instead of CONVERSIMPLE_API_KEY; others on this machine can see it here",
    )
    options.add_argument(
        "--customer-id", metavar="ID", help="instead of CONVERSIMPLE_CUSTOMER_ID"
    )
    options.add_argument(
        "--platform-url", metavar="URL", help="instead of CONVERSIMPLE_PLATFORM_URL"
    )


def _add_run(options: ArgumentParser) -> None:
    options.add_argument(
        "target",
        metavar="FILE_OR_MODULE[:Class]|FOLDER",
        help="a Python file or a module, and its agent class if it has several; or a "
        "folder, all agents of which are run",
    )
    options.set_defaults(dispatches=False)
    _add_settings(options)
    options.add_argument(
        "--conversation-id",
        metavar="ID",
        help="serve this conversation only; not with a folder",
    )
    _add_sharing(options)
    _add_health(options)


def _add_sharing(options: ArgumentParser) -> None:
    options.add_argument(
        "--journal",
        metavar="FILE_OR_ADDRESS",
        help="note calls there, so that none is run twice: a file, or a redis:// "
        "address for many workers",
    )
    options.add_argument(
        "--claims",
        metavar="PLACE",
        help="share the conversations of a folder's agents with other workers: "
        "file:DIRECTORY for those of one machine, or a redis:// address",
    )
    options.add_argument(
        "--lease",
        metavar="SECONDS",
        type=_seconds,
        help="how soon others take over from a worker that is not heard of; for Redis "
        "(default: 15)",
    )
    options.add_argument(
        "--max-conversations",
        metavar="NUMBER",
        type=_number,
        help="how many conversations a worker serves at once at most (default: any)",
    )
    options.add_argument(
        "--idle-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="after how long a conversation of which nothing is heard is over "
        "(default: 3600)",
    )


def _add_health(options: ArgumentParser) -> None:
    options.add_argument(
        "--health-port",
        metavar="PORT",
        type=_port,
        help="serve /livez and /readyz over HTTP; 0 means any free port, see the log",
    )
    options.add_argument(
        "--health-host",
        metavar="ADDRESS",
        help="where to serve them (default: 127.0.0.1, which only this machine "
        "reaches; in a container, 0.0.0.0 or ::)",
    )


def _add_platform(options: ArgumentParser) -> None:
    options.add_argument(
        "--port",
        type=_port,
        default=4000,
        help="where to listen; 0 means any free port (default: 4000)",
    )


def _add_dev(options: ArgumentParser) -> None:
    options.add_argument(
        "target",
        metavar="PATH",
        help="a Python file, a module, or a folder with agents",
    )
    options.add_argument(
        "--port",
        type=_port,
        help="where to listen; 0 means any free port (default: 4000, or the next "
        "free one)",
    )
    options.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1, which only this machine "
        "reaches); any other one needs the token that is printed",
    )
    options.add_argument(
        "--no-reload",
        dest="reload",
        action="store_false",
        help="do not start the agents anew when a file changes",
    )
    options.add_argument(
        "--record",
        metavar="FILE",
        help="write what is done in the console as a scenario, for conversimple test",
    )


def _add_tools(options: ArgumentParser) -> None:
    _add_target(options)
    options.add_argument(
        "--json", action="store_true", help="print the JSON array that is sent"
    )


def _add_call(options: ArgumentParser) -> None:
    _add_target(options)
    options.add_argument("tool", help="the name of the tool")
    options.add_argument(
        "arguments", nargs="*", metavar="NAME=VALUE", help="the tool's arguments"
    )


def _add_test(options: ArgumentParser) -> None:
    options.add_argument(
        "scenarios", nargs="+", metavar="SCENARIO.yaml", help="a file of scenarios"
    )
    options.add_argument(
        "--agent",
        required=True,
        metavar="FILE_OR_MODULE[:Class]",
        help="a Python file or a module, and its agent class if it has several",
    )
    options.add_argument(
        "--junit", metavar="FILE", help="write the results as JUnit XML besides"
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 65535")
    return int(text)


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds, more than 0")
    return seconds


class Command(NamedTuple):
    """What can be typed after ``conversimple``; the module of its name does it."""

    summary: str
    text: str
    add_options: Callable[[ArgumentParser], None]


COMMANDS = {
    "demo": Command("see the SDK at work", DEMO, _add_nothing),
    "dev": Command("try agents, with a console in the browser", DEV, _add_dev),
    "run": Command("run an agent, or all of a folder", RUN, _add_run),
    "platform": Command("serve agents on this machine", PLATFORM, _add_platform),
    "tools": Command("show an agent's tools", TOOLS, _add_tools),
    "call": Command("call one tool, without a platform", CALL, _add_call),
    "test": Command("hold scripted conversations with an agent", TEST, _add_test),
    "check": Command("find out why an agent cannot connect", CHECK, _add_settings),
}
