"""The check at the demo's end: every request that was answered is on /metrics once and has one server span. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.recent import LOOK_ITEMS

_SAMPLE = re.compile(r"^http_requests_total\{(?P<labels>.*)\} (?P<value>\S+)")
_STATUS = re.compile(r'(?:^|,)status="(?P<status>\d*)"')


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the check found, as lines for a terminal."""

    ok: bool
    lines: tuple[str, ...]


def requests_on(exposition: str) -> Counter[int]:
    """`http_requests_total` by status, from the text of /metrics; 0 stands for requests without a status."""
    counted: Counter[int] = Counter()
    for line in exposition.splitlines():
        if sample := _SAMPLE.match(line):
            status = _STATUS.search(sample["labels"])
            counted[int(status["status"] or 0) if status else 0] += round(float(sample["value"]))
    return counted


def check(answered: Counter[int], unanswered: int, on_metrics: Counter[int], summary: Mapping[str, Any]) -> Verdict:
    """Compares what the traffic saw with what the sidecar has.

    Args:
        answered: requests that the traffic got an answer to, by status.
        unanswered: requests that it sent without an answer; the service may have counted them.
        on_metrics: see `requests_on`.
        summary: the sidecar's /api/summary.
    """
    sent, counted = answered.total(), on_metrics.total()
    spans = int(summary["recent"]["server_spans"])
    lines = [f"requests answered                 {sent:>9,}"]
    problems = []
    if unanswered:
        lines.append(f"  and without an answer           {unanswered:>9,}   (the service may have counted these)")
    lines.append(f"http_requests_total on /metrics   {counted:>9,}{_sign(counted, sent, unanswered)}")
    if not sent <= counted <= sent + unanswered:
        problems.append(f"/metrics counts {counted:,} requests, the traffic {sent:,}")
    elif not unanswered and answered != on_metrics:
        problems.append(f"/metrics counts the same requests under other statuses: {_words(on_metrics)}")
    recent = summary["recent"]
    if recent["forgotten"] or recent["skipped"] or recent["spans"] > LOOK_ITEMS:
        lines.append(f"server spans in the sidecar       {spans:>9,}   (its ring has made room: not compared)")
    else:
        lines.append(f"server spans in the sidecar       {spans:>9,}{_sign(spans, sent, unanswered)}")
        if not sent <= spans <= sent + unanswered:
            problems.append(f"{spans:,} server spans were seen, the traffic had {sent:,} requests")
    lines.append(f"by status: {_words(answered)}")
    lines += [f"MISMATCH: {problem}" for problem in problems]
    if not sent:
        lines.append("MISMATCH: no request was answered")
    return Verdict(not problems and sent > 0, tuple(lines))


def check_forwarded(ledger: Mapping[str, Any], targets: Sequence[str]) -> Verdict:
    """What reached the targets, from the sidecar's /ledger."""
    rows = {row["target"]: row for row in ledger["accounts"] if row["signal"] == "traces"}
    lines, ok = [], True
    for target in targets:
        row = rows.get(target)
        if row is None:
            ok = False
            lines.append(f"MISMATCH: the sidecar has no account of {target}")
            continue
        lines.append(f"spans forwarded to {target}: {row['forwarded']:,} of {row['received']:,}")
        if row["forwarded"] != row["received"]:
            ok = False
            dropped = "".join(f", {count:,} dropped ({reason})" for reason, count in row["dropped"].items())
            lines.append(f"MISMATCH: {row['queued']:,} spans still wait for {target}{dropped}")
    return Verdict(ok, tuple(lines))


def _sign(found: int, sent: int, unanswered: int) -> str:
    return "   =" if sent <= found <= sent + unanswered else "   differs"


def _words(counts: Counter[int]) -> str:
    return ", ".join(f"{status or 'none'}: {count:,}" for status, count in sorted(counts.items())) or "none"
