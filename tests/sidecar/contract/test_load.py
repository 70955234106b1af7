"""A contract loads, or one sentence says which line to change."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.contract import Contract, ContractError, Label, Model, Service, View, load_contract

GOOD = """
service: {name: cats}
model:
  name: catvsdog
  version: 1.10
views:
  - metric: ml.prediction.duration
    name: latency_ms
    unit: ms
    where:
      ml.prediction.outcome: [success, error]
      code: 200
      flag: no
    labels:
      model: ml.model.name
      kind: {value: image}
      status: &status {attribute: http.response.status_code, as: class, map: {2xx: ok}, default: none}
    help: Words.
  - metric: http.server.request.duration
    name: requests_total
    read: count
    labels:
      <<: {method: http.request.method, status: other}
      status: *status
merge:
  queue.depth: sum
"""


def load(tmp_path: Path, text: str | bytes) -> Contract:
    path = tmp_path / "observability.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_contract(path)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """Scalars are what is written: 1.10 is no 1.1, and `no` no boolean."""
    status = Label(attribute="http.response.status_code", as_="class", map={"2xx": "ok"}, default="none")
    assert load(tmp_path, GOOD) == Contract(
        service=Service(name="cats"),
        model=Model(name="catvsdog", version="1.10"),
        views=(
            View(
                metric="ml.prediction.duration",
                name="latency_ms",
                unit="ms",
                where={"ml.prediction.outcome": ["success", "error"], "code": "200", "flag": "no"},
                labels={"model": "ml.model.name", "kind": Label(value="image"), "status": status},
                help="Words.",
            ),
            View(
                metric="http.server.request.duration",
                name="requests_total",
                read="count",
                labels={"method": "http.request.method", "status": status},
            ),
        ),
        merge={"queue.depth": "sum"},
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "~", "{}"])
def test_an_empty_file_is_an_empty_contract(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Contract()


VIEW = "views:\n  - metric: ml.prediction.duration\n    name: x\n"
WRONG: list[tuple[str | bytes, str]] = [
    # unknown and repeated keys
    ("sevice: {name: x}", ":1: key sevice: unknown key; did you mean 'service'?"),
    ("zebra: 1", ":1: key zebra: unknown key; known: merge, model, service, translation, views"),
    ("\nservice:\n  name: x\n  nmae: y", ":4: key service.nmae: unknown key; did you mean 'name'?"),
    (VIEW + "    reda: count", ":4: key views[0].reda: unknown key; did you mean 'read'?"),
    ("service: {name: x}\nservice: {name: y}", ":2: key service: given twice, first in line 1"),
    (VIEW + "    name: y", ":4: key views[0].name: given twice, first in line 3"),
    # wrong types
    ("- a", ":1: a list is no mapping of keys to values"),
    ("just text", ":1: 'just text' is no mapping of keys to values"),
    ("views: 3", ":1: key views: '3' is no list"),
    ("views:\n  a: b", ":1: key views: a mapping is no list"),
    ("views: [3]", ":1: key views[0]: '3' is no mapping of keys to values"),
    ("service: x", ":1: key service: 'x' is neither a mapping nor nothing"),
    ("service: {name: [x]}", ":1: key service.name: a list is no text"),
    ("service: {name: ~}", ":1: key service.name: nothing is no text"),
    ("service: {name: ''}", ":1: key service.name: is empty"),
    (VIEW + "    where: {a: {b: c}}", ":4: key views[0].where.a: a mapping is neither text nor a list"),
    (VIEW + "    where: {a: [[b]]}", ":4: key views[0].where.a[0]: a list is no text"),
    (VIEW + "    labels: [a]", ":4: key views[0].labels: a list is neither a mapping nor nothing"),
    (VIEW + "    labels: {a: [b]}", ":4: key views[0].labels.a: a list is neither text nor a mapping"),
    ("service:\n  ? [a]\n  : b", ":2: key service: a key must be text"),
    # wrong values
    (VIEW + "    read: cuont", ":4: key views[0].read: 'cuont' is not one of count, sum, value; did you mean 'count'?"),
    ("merge: {x: median}", ":1: key merge.x: 'median' is not one of last, max, mean, min, sum; did you mean 'mean'?"),
    ("views: [{metric: m}]", ":1: key views[0].name: is missing and has no default"),
    ("views: [{metric: m, name: a-b}]", ":1: key views[0].name: 'a-b' does not fit ^[a-zA-Z_:][a-zA-Z0-9_:]*$"),
    (VIEW + "    labels: {a.b: c}", ":4: key views[0].labels.a.b: 'a.b' does not fit ^[a-zA-Z_][a-zA-Z0-9_]*$"),
    # no YAML
    ("views: [", ":1: no YAML: while parsing a flow node expected the node content, but found '<stream end>'"),
    ("a: b: c", ":1: no YAML: mapping values are not allowed here"),
    ("a: *b", ":1: no YAML: found undefined alias 'b'"),
    ("a: 1\n---\nb: 2", ":2: no YAML: expected a single document in the stream but found another document"),
    ("\tx: 1", ":1: no YAML: while scanning for the next token found character '\\t' that cannot start any token"),
    (b"a: \xff", ": no UTF-8 text: byte 3 is 0xff"),
    ("a: \x00", ": no YAML: unacceptable character #x0000: special characters are not allowed"),
    ("[" * 5000, ": no contract: nested too deeply"),
    # merge keys that lead nowhere
    ("service: {<<: 3, name: x}", ":1: key service.<<: needs another mapping"),
    ("service: &a {<<: *a, name: x}", ":1: key service.<<: needs another mapping"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG, ids=[str(sentence) for _, sentence in WRONG])
def test_the_sentence_names_line_key_value_and_the_nearest_word(
    tmp_path: Path, text: str | bytes, sentence: str
) -> None:
    with pytest.raises(ContractError) as error:
        load(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path / 'observability.yaml'}{sentence}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"/none\.yaml: cannot be read: No such file or directory"):
        load_contract(tmp_path / "none.yaml")
    with pytest.raises(ContractError, match=r"cannot be read: Is a directory"):
        load_contract(tmp_path)


def test_long_values_are_cut(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as error:
        load(tmp_path, f"views: {'x' * 500}")
    assert str(error.value).endswith("xxx... is no list")
    assert len(str(error.value)) < 200 + len(str(tmp_path))
