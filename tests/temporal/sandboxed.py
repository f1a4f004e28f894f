"""A module as those that hold workflows: what it imports is looked at by the sandbox, in every way in which it can be written."""

# ruff: noqa: F401, DTZ, S - what is not used here is used by expressions of the tests

from __future__ import annotations

import asyncio
import bz2
import concurrent.futures
import datetime
import dbm
import filecmp
import fileinput
import ftplib
import getopt
import getpass
import gettext
import glob
import gzip
import http.client
import http.server
import imaplib
import locale
import lzma
import marshal
import mmap
import multiprocessing
import os
import os.path as paths
import pathlib
import platform
import poplib
import random
import sched
import secrets
import select
import selectors
import shelve
import shutil
import signal
import smtplib
import socket
import socketserver
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.parse
import urllib.request
import uuid
import webbrowser
import xmlrpc.client
import zipfile
import zoneinfo
from asyncio import as_completed, wait
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from os import environ, getcwd
from pathlib import Path
from random import choice
from subprocess import TimeoutExpired
from threading import Lock, Thread
from time import time as clock
from typing import Any
from uuid import uuid4

from memflow.temporal import activity, workflow
from memflow.temporal.converter import EncodingPayloadConverter
from memflow.temporal.worker import Interceptor, WorkflowInboundInterceptor

settings = {"mail": {"host": "localhost", "port": 25}}
at_import = os.name  # free while modules are loaded


def evaluated(expression: str) -> Any:
    """What an expression is worth when it stands in this module."""
    return eval(expression)


def executed(statements: str) -> None:
    """Statements, as if they stood in a function of this module."""
    exec(statements)


def matches(value: object) -> str:
    """Restricted classes in patterns and `except`."""
    match value:
        case date():
            return "a date"
        case Path():
            return "a path"
        case _:
            pass
    try:
        raise TimeoutExpired("nothing", 1)
    except TimeoutExpired:
        return "too late"


def where() -> str:
    """What a function of this module tells whoever calls it."""
    return os.environ.get("HOME", "nowhere") + str(Path("nowhere").exists())


class Looks(EncodingPayloadConverter):
    """A converter in the same module: it may look at what workflow code may not."""

    @property
    def encoding(self) -> str:
        """Of its payloads."""
        return "looks"

    def to_payload(self, value: Any) -> None:
        """Takes nothing, but looks."""
        assert at_import == os.name and clock() > 0 and where()

    def from_payload(self, payload: Any, type_hint: type | None = None) -> Any:
        """Makes nothing."""


class LooksAround(WorkflowInboundInterceptor):
    """An interceptor in the same module. Beneath it lies workflow code, which is restricted."""

    async def execute_workflow(self, input: Any) -> Any:
        """Looks, and goes on."""
        return f"{await super().execute_workflow(input)} at {where()}"


class InterceptsAll(Interceptor):
    """Has workflows intercepted."""

    def workflow_interceptor_class(self, input: Any) -> type[WorkflowInboundInterceptor]:
        """The class above."""
        return LooksAround


async def coroutine() -> str:
    """Something to wait for."""
    return "done"


async def waited() -> None:
    """asyncio's own ways to wait for several, of which a sandbox warns."""
    for each in asyncio.as_completed([coroutine()]):
        await each
    await asyncio.wait([asyncio.create_task(coroutine())])


@activity.defn
def looks_around() -> bool:
    """An activity in the same module, on a thread: it may do anything."""
    return os.name == at_import and bool(os.getcwd()) and Path.cwd().exists() and clock() > 0


@workflow.defn
class Evaluates:
    """Evaluates an expression in this module."""

    @workflow.run
    async def run(self, expression: str) -> str:
        return repr(eval(expression))


@workflow.defn(sandboxed=False)
class EvaluatesOutside:
    """The same without a sandbox."""

    @workflow.run
    async def run(self, expression: str) -> str:
        return repr(eval(expression))


@workflow.defn
class WhileAnActivityLooks:
    """Turns on while an activity in this module looks around."""

    @workflow.run
    async def run(self) -> bool:
        looked = workflow.execute_activity(looks_around, start_to_close_timeout=datetime.timedelta(minutes=1))
        return await looked and workflow.unsafe.in_sandbox()
