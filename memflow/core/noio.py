"""What an event loop without IO refuses: threads, sockets, processes, signals, and running itself.

Each refusal is a `DeterminismError` that names the line and what to do instead.
"""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from memflow.core.places import calling_place
from memflow.errors import DeterminismError


def _refuse(call: str, instead: str) -> Any:
    def refused(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise DeterminismError(call, instead=instead, where=calling_place() or "an unknown line")

    refused.__name__ = refused.__qualname__ = call.rpartition(".")[2]
    return refused


def _io(name: str) -> Any:
    return _refuse(f"loop.{name}", "a workflow does no IO: do it in an activity")


def _control(name: str) -> Any:
    return _refuse(f"loop.{name}", "the loop of a workflow belongs to memflow: await instead")


class LoopWithoutIO(asyncio.AbstractEventLoop):
    """The refusals of a workflow's event loop. `TurnLoop` adds what it can do."""

    run_in_executor = _refuse("asyncio.to_thread or loop.run_in_executor", "a workflow runs no threads: call an activity")
    call_soon_threadsafe = _refuse("loop.call_soon_threadsafe", "a workflow runs no threads: await, or send the run a signal")

    run_forever = _control("run_forever")
    run_until_complete = _control("run_until_complete")
    stop = _control("stop")
    close = _control("close")
    shutdown_asyncgens = _control("shutdown_asyncgens")
    shutdown_default_executor = _control("shutdown_default_executor")
    set_default_executor = _control("set_default_executor")
    set_task_factory = _control("set_task_factory")
    set_exception_handler = _control("set_exception_handler")
    add_signal_handler = _control("add_signal_handler")
    remove_signal_handler = _control("remove_signal_handler")

    add_reader = _io("add_reader")
    remove_reader = _io("remove_reader")
    add_writer = _io("add_writer")
    remove_writer = _io("remove_writer")
    connect_accepted_socket = _io("connect_accepted_socket")
    connect_read_pipe = _io("connect_read_pipe")
    connect_write_pipe = _io("connect_write_pipe")
    create_connection = _io("create_connection")
    create_datagram_endpoint = _io("create_datagram_endpoint")
    create_server = _io("create_server")
    create_unix_connection = _io("create_unix_connection")
    create_unix_server = _io("create_unix_server")
    getaddrinfo = _io("getaddrinfo")
    getnameinfo = _io("getnameinfo")
    sendfile = _io("sendfile")
    sock_accept = _io("sock_accept")
    sock_connect = _io("sock_connect")
    sock_recv = _io("sock_recv")
    sock_recv_into = _io("sock_recv_into")
    sock_recvfrom = _io("sock_recvfrom")
    sock_recvfrom_into = _io("sock_recvfrom_into")
    sock_sendall = _io("sock_sendall")
    sock_sendfile = _io("sock_sendfile")
    sock_sendto = _io("sock_sendto")
    start_tls = _io("start_tls")
    subprocess_exec = _io("subprocess_exec")
    subprocess_shell = _io("subprocess_shell")
