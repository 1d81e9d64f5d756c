"""One part of `speed.py`, in a process of its own: float32 products of 256 x 256 matrices.

Three ways: `one` core; one product by all `threads` of the library; one product for each
of the `cores` at the same time. The best of 5 windows, in GFLOP/s.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable

import numpy as np

from stitchrl import devices

SIZE, WINDOWS, PRODUCTS = 256, 5, 2_000
GFLOP = 2 * SIZE**3 * PRODUCTS / 1e9  # Of one window and core.


def matrices() -> tuple[np.ndarray, np.ndarray]:
    """Any matrix, and a rotation: products with it neither grow nor vanish."""
    draw = np.random.default_rng(0)
    left, right = (draw.standard_normal((SIZE, SIZE)) for _ in range(2))
    return left.astype(np.float32), np.linalg.qr(right)[0].astype(np.float32)


def with_numpy(callers: int) -> Callable[[], float]:
    """Seconds in which each of `callers` threads makes all products of a window."""
    left, right = matrices()
    results = [np.empty_like(left) for _ in range(callers)]

    def work(result: np.ndarray, together: threading.Barrier, times: list[float]) -> None:
        together.wait()
        times.append(time.perf_counter())
        for _ in range(PRODUCTS):
            np.matmul(left, right, out=result)
        times.append(time.perf_counter())

    def window() -> float:
        together, times = threading.Barrier(callers), []
        workers = [
            threading.Thread(target=work, args=(result, together, times))
            for result in results
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(times) - min(times)

    return window


def with_xla(callers: int) -> Callable[[], float]:
    """The same by XLA, on one host device for each caller."""
    devices.prepare(host_devices=devices.thread_count())
    import jax
    import jax.numpy as jnp

    left, right = matrices()
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:callers]), ("core",))
    spec = jax.P("core")

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(spec, spec), out_specs=spec, check_vma=False)
    def chain(left, right):
        def step(left, _):
            return left @ right[0], None

        return jax.lax.scan(step, left[0], length=PRODUCTS)[0][None]

    lefts, rights = (jnp.stack([matrix] * callers) for matrix in (left, right))
    place = jax.sharding.NamedSharding(mesh, spec)
    lefts, rights = jax.device_put((lefts, rights), place)

    def window() -> float:
        start = time.perf_counter()
        chain(lefts, rights).block_until_ready()
        return time.perf_counter() - start

    return window


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("numpy", "xla"))
    parser.add_argument("way", choices=("one", "threads", "cores"))
    options = parser.parse_args()
    callers = devices.thread_count() if options.way == "cores" else 1
    window = (with_numpy if options.library == "numpy" else with_xla)(callers)
    window()  # Threads start, programs are compiled.
    rates = [callers * GFLOP / window() for _ in range(WINDOWS)]
    print(json.dumps({"rates": rates, "best": max(rates)}))


if __name__ == "__main__":
    main()
