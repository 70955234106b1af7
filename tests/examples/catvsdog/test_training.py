"""The classifier: it separates the classes, from the labels alone, the same way each time, and is kept safely."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from examples.catvsdog import images, training
from examples.catvsdog.classifier import Classifier, ModelFileError
from examples.catvsdog.decoding import decode
from examples.catvsdog.features import LENGTH, features
from tests.support.processes import ROOT

Data = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def train_data() -> Data:
    return training.dataset(range(1_000_000, 1_000_400), mirrored=True)


@pytest.fixture(scope="module")
def held_out() -> Data:
    return training.dataset(range(3_000_000, 3_000_200))


@pytest.fixture(scope="module")
def model(train_data: Data) -> Classifier:
    weights, bias = training.fit(*train_data)
    return Classifier(weights, train_data[0].mean(axis=0), bias, 0.0, 0)


def test_held_out_pictures_are_told_apart(model: Classifier, held_out: Data) -> None:
    """At least nine of ten pictures it has never seen are put into the right class."""
    assert training.accuracy(model.weights, model.bias, *held_out) >= 0.9


def test_shuffled_labels_teach_nothing(train_data: Data, held_out: Data) -> None:
    """Without the labels' meaning the same training is as good as a coin: nothing leaks into the features."""
    rows, labels = train_data
    shuffled = np.random.default_rng(4).permutation(labels)
    assert 0.3 < training.accuracy(*training.fit(rows, shuffled), *held_out) < 0.7


def test_training_is_deterministic(train_data: Data, model: Classifier) -> None:
    """The same pictures give the same weights, to the bit."""
    weights, bias = training.fit(*train_data)
    assert (weights == model.weights).all()
    assert bias == model.bias


def test_unsure_about_what_is_neither(model: Classifier) -> None:
    """Animals between the kinds get clearly lower confidence than cats and dogs do."""

    def confidence(kind: str) -> float:
        seen = [features(decode(images.picture(kind, seed).body)) for seed in range(40)]
        return float(np.median([model.classify(one)[1] for one in seen]))

    assert confidence("mixed") < 0.85 < min(confidence("cat"), confidence("dog"))


def test_confidence_is_the_probability_of_the_class(model: Classifier) -> None:
    """The class said is the likelier one, so its probability is at least a half."""
    seen = {model.classify(features(decode(images.picture(k, s).body))) for k in ("cat", "dog") for s in range(10)}
    assert {label for label, _ in seen} == {"cat", "dog"}
    assert all(0.5 <= confidence <= 1 for _, confidence in seen)


def test_a_saved_model_is_the_same_model(model: Classifier, tmp_path: Path) -> None:
    """What is loaded has the weights that were saved, and no draft is left beside it."""
    model.save(tmp_path / "m.npz")
    loaded = Classifier.load(tmp_path / "m.npz")
    assert (loaded.weights == model.weights).all()
    assert (loaded.typical == model.typical).all()
    assert (loaded.bias, loaded.accuracy, loaded.held_out) == (model.bias, model.accuracy, model.held_out)
    assert [file.name for file in tmp_path.iterdir()] == ["m.npz"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04half", b"no zip at all"])
def test_a_damaged_model_file_is_said(content: bytes, tmp_path: Path) -> None:
    """Half a file, or another, is named in the error and never half loaded."""
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m\.npz is no model of this example"):
        Classifier.load(tmp_path / "m.npz")


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    """A file with Python objects inside is refused, so a planted cache file can't run code."""
    weights = np.array([print], dtype=object)
    np.savez(tmp_path / "m.npz", weights=weights, typical=weights, bias=0.0, accuracy=0.0, held_out=0)
    with pytest.raises(ModelFileError, match="Object arrays cannot be loaded"):
        Classifier.load(tmp_path / "m.npz")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    """A model of other features is no model here."""
    Classifier(np.zeros(3, dtype=np.float32), np.zeros(LENGTH, dtype=np.float32), 0.0, 0.0, 0).save(tmp_path / "m.npz")
    with pytest.raises(ModelFileError, match=rf"holds \(3,\) weights, this example needs \({LENGTH},\)"):
        Classifier.load(tmp_path / "m.npz")


def test_a_damaged_cache_is_trained_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier) -> None:
    """A broken file in the cache is replaced, not reported to the user as a failure."""
    monkeypatch.setattr(training, "train", lambda: model)
    file = tmp_path / "cache" / "m.npz"
    file.parent.mkdir()
    file.write_bytes(b"broken")
    assert training.load_or_train(file) is model
    assert (Classifier.load(file).weights == model.weights).all()


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Classifier, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read-only container trains and serves; it says once where nothing could be kept."""
    monkeypatch.setattr(training, "train", lambda: model)
    (tmp_path / "file").write_text("in the way")
    assert training.load_or_train(tmp_path / "file" / "m.npz") is model
    assert f"the model is not kept, {tmp_path / 'file'} can't be written" in capsys.readouterr().out


def test_the_cache_is_keyed_by_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other training code never finds this code's model; the folder is the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = training.cache_file()
    assert file.parent == tmp_path / "otel-sidecar"
    assert file.name.startswith("catvsdog-")


@pytest.mark.integration
def test_two_workers_train_once(tmp_path: Path) -> None:
    """Processes that start together wait for one of them and load what it made."""
    script = (
        "import sys, pathlib, numpy as np\n"
        "from examples.catvsdog import training\n"
        "from examples.catvsdog.classifier import Classifier\n"
        "def train():\n"
        "    print('trained', flush=True)\n"
        "    import time; time.sleep(0.3)\n"
        f"    return Classifier(*2 * [np.ones({LENGTH}, dtype=np.float32)], 0.0, 0.5, 1)\n"
        "training.train = train\n"
        "print(training.load_or_train(pathlib.Path(sys.argv[1])).accuracy)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "m.npz")]
    workers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert sum(output.count("trained") for output in outputs) == 1
    assert all(output.endswith("0.5\n") for output in outputs)
