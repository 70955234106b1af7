"""A service whose predictions are made in a pool of processes, which end without Python's atexit."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from fastapi import FastAPI

from instrumentation import Model, instrument

app = FastAPI(title="pool")
instrument(app)
model = Model("pool", version="1")


def predict(number: int) -> int:
    with model.predict() as p:
        p.result("even" if number % 2 == 0 else "odd")
    return number


if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as workers:
        assert list(workers.map(predict, range(20))) == list(range(20))
