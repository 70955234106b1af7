from __future__ import annotations

import gc
import subprocess
import weakref
from textwrap import dedent

import pytest

from instrumentation.otlp.client import OtlpClient
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal
from tests.support.otlp_http import Answer, otlp_http
from tests.support.processes import LOOPBACK, python, wait_for

pytestmark = pytest.mark.integration

PRELUDE = """
import os, sys, threading, time
from instrumentation.otlp.client import OtlpClient
from instrumentation.otlp.exporters import OtlpSpanExporter
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

settings = OtlpSettings.read({"OTEL_EXPORTER_OTLP_ENDPOINT": sys.argv[1]}, OtlpSignal.TRACES)

def post(client, body):
    posted = client.post(body, client.deadline())
    assert posted.outcome.name == "OK", posted

def in_child(work):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run(code: str, port: int) -> None:
    # From Python 3.12 on a fork beside threads is warned about: it is what is tried here.
    warnings = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
    command = python(*warnings, "-c", PRELUDE + dedent(code), f"http://{LOOPBACK}:{port}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_child_opens_a_connection_of_its_own_and_leaves_the_parents_alone() -> None:
    with otlp_http() as server:
        run(
            """
            client = OtlpClient(settings)
            post(client, b"parent")
            in_child(lambda: (post(client, b"child"), post(client, b"child"), client.shutdown()))
            post(client, b"parent")
            """,
            server.port,
        )
    assert [asked.body for asked in server.asked] == [b"parent", b"child", b"child", b"parent"]
    first, second, third, fourth = (asked.connection for asked in server.asked)
    assert first == fourth
    assert second == third != first


def test_a_child_forked_while_an_export_is_under_way_exports_at_once() -> None:
    """The parent's thread holds the lock and waits for an answer; neither exists in the child."""
    with otlp_http() as server:
        server.say(Answer(before=lambda: wait_for(lambda: len(server.asked) >= 2, "the child's export")))
        run(
            """
            client = OtlpClient(settings)
            busy = threading.Thread(target=post, args=(client, b"parent"))
            busy.start()
            while client._connection is None or client._connection.sock is None:
                time.sleep(0.01)
            in_child(lambda: post(client, b"child"))
            busy.join()
            """,
            server.port,
        )
    assert sorted(asked.body for asked in server.asked) == [b"child", b"parent"]


def test_a_childs_numbers_begin_at_zero_and_its_spans_bear_its_resource() -> None:
    with otlp_http() as server:
        run(
            """
            exporter = OtlpSpanExporter(settings, lambda: Resource({"process.pid": os.getpid()}))
            span = ReadableSpan("s", SpanContext(1, 2, is_remote=False), resource=Resource({"process.pid": 1}))
            exporter.export([span, span])

            def work():
                assert exporter.stats.exported == 0
                exporter.export([span])
                assert exporter.stats.exported == 1

            in_child(work)
            assert exporter.stats.exported == 2
            """,
            server.port,
        )
    parent, child = (asked.body for asked in server.asked)
    assert parent[:60] != child[:60]


def test_a_fork_python_does_not_notice_is_noticed_by_the_next_export() -> None:
    """As when a C library forks: no hook runs."""
    with otlp_http() as server:
        run(
            """
            import ctypes
            client = OtlpClient(settings)
            post(client, b"parent")
            pid = ctypes.PyDLL(None).fork()
            if not pid:
                post(client, b"child")
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            """,
            server.port,
        )
    first, second = (asked.connection for asked in server.asked)
    assert first != second


def test_hooks_do_not_keep_their_objects_alive() -> None:
    client = OtlpClient(OtlpSettings.read({}, OtlpSignal.TRACES))
    reference = weakref.ref(client)
    del client
    gc.collect()
    assert reference() is None
