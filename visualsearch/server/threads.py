"""Threads of a server: requests are what runs side by side, so one product of matrices takes one core."""

from __future__ import annotations

import os
from pathlib import Path

from threadpoolctl import ThreadpoolController

VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Who sets one of these has chosen."""


def one_core_a_product() -> bool:
    """Let NumPy multiply with one thread from now on; False where the environment says how many.

    A request multiplies small matrices, often. A team of threads waits for its slowest member each time: where other requests
    or programs hold the cores, that wait is longer than the product. FAISS and the encoders keep their threads.
    """
    if any(os.environ.get(name) for name in VARIABLES):
        return False
    for library in ThreadpoolController().lib_controllers:
        if library.user_api == "blas" and "numpy" in Path(library.filepath).as_posix():
            library.set_num_threads(1)
    return True
