"""Training speed beside JAX and PyTorch, in one run on one core, and on two.

    cargo bench --bench training --no-run
    python benches/training.py [mlp|small ...]        with jax and torch (PyPI) installed

Each is pinned to one core and timed by its processor (least of several epochs), so that other work
on the machine disturbs little; on two cores by the time that passed. The same work for all: the
activation c0 + c1 z + c2 z^2 + c3 z^3 with learned coefficients a neuron, Adam, rows shuffled
every epoch. JAX compiles a whole epoch into one call (`lax.scan`). The floor is six flops a weight
and row (four in the first layer, whose inputs need no derivative) at the rate of fused
multiply-adds of benches/fma.rs.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile
import time

CASES = {"mlp": ([784, 128, 10], 60_000, 128, 5), "small": ([8, 16, 16, 1], 1_024, 32, 300)}


def data(case, dtype):
    import numpy as np

    sizes, rows, _, _ = CASES[case]
    rng = np.random.default_rng(1)
    x = rng.random((rows, sizes[0])).astype(dtype)
    if case == "mlp":
        return x, (np.arange(rows) % 10).astype(np.int32)
    return x, (x[:, :1] * x[:, 1:2] - x[:, 2:3]).astype(dtype)


def start(case, dtype):
    import numpy as np

    sizes = CASES[case][0]
    rng = np.random.default_rng(2)
    layers = []
    for n, m in zip(sizes, sizes[1:]):
        layers.append([(rng.standard_normal((n, m)) / n**0.5).astype(dtype), np.zeros(m, dtype)])
    for layer in layers[:-1]:
        c = 0.1 * rng.standard_normal((4, layer[1].size))
        c[1] += 1.0
        layer.append(c.astype(dtype))
    return layers


def jax_epoch(case, dtype, threads):
    import jax
    import jax.numpy as jnp
    import numpy as np

    jax.config.update("jax_enable_x64", dtype == "float64")
    sizes, rows, batch, epochs = CASES[case]
    x, t = map(jnp.asarray, data(case, dtype))
    steps = -(-rows // batch)

    def outputs(p, x):
        for i, layer in enumerate(p):
            x = x @ layer[0] + layer[1]
            if i + 1 < len(p):
                c = layer[2]
                x = c[0] + x * (c[1] + x * (c[2] + x * c[3]))
        return x

    def loss(p, x, t):
        y = outputs(p, x)
        if case == "mlp":
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1))
        return jnp.mean((y - t) ** 2)

    def step(state, rows):
        p, m, v, n = state
        g = jax.grad(loss)(p, x[rows], t[rows])
        n = n + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        b1, b2 = 1 - 0.9**n, 1 - 0.999**n
        p = jax.tree.map(
            lambda p, m, v: p - 1e-3 * (m / b1) / (jnp.sqrt(v / b2) + 1e-8), p, m, v
        )
        return (p, m, v, n), None

    epoch = jax.jit(lambda state, order: jax.lax.scan(step, state, order)[0], donate_argnums=0)
    p = jax.tree.map(jnp.asarray, start(case, dtype))
    zeros = lambda: jax.tree.map(jnp.zeros_like, p)
    state = (p, zeros(), zeros(), jnp.asarray(0.0, dtype))
    rng = np.random.default_rng(3)

    def run():
        nonlocal state
        order = np.resize(rng.permutation(rows), (steps, batch))
        state = jax.block_until_ready(epoch(state, jnp.asarray(order)))

    return run, epochs


def torch_epoch(case, dtype, threads):
    import torch

    torch.set_num_threads(threads)
    sizes, rows, batch, epochs = CASES[case]
    x, t = map(torch.from_numpy, data(case, dtype))
    t = t.long() if case == "mlp" else t
    p = [[torch.from_numpy(a).requires_grad_() for a in layer] for layer in start(case, dtype)]
    optimiser = torch.optim.Adam([a for layer in p for a in layer], lr=1e-3, fused=True)

    def run():
        order = torch.randperm(rows)
        for rows_of in order.split(batch):
            y = x[rows_of]
            for i, layer in enumerate(p):
                y = torch.addmm(layer[1], y, layer[0])
                if i + 1 < len(p):
                    c = layer[2]
                    y = c[0] + y * (c[1] + y * (c[2] + y * c[3]))
            own = t[rows_of]
            if case == "mlp":
                loss = torch.nn.functional.cross_entropy(y, own)
            else:
                loss = torch.nn.functional.mse_loss(y, own)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run, max(2, epochs // 20 if case == "small" else epochs)


def peer(name, case, dtype, threads):
    run, epochs = {"jax": jax_epoch, "torch": torch_epoch}[name](case, dtype, threads)
    run()
    clock = time.process_time if threads == 1 else time.perf_counter
    times = []
    for _ in range(epochs):
        before = clock()
        run()
        times.append(clock() - before)
    print(json.dumps({"least": min(times), "median": sorted(times)[len(times) // 2]}))


def rates(source, program):
    """The best of what the compiler makes for this machine, where it may prefer vectors of AVX2,
    and of vectors of AVX-512, which fail where there are none."""
    found = []
    for target in (["target-cpu=native"], ["target-cpu=x86-64-v3", "target-feature=+avx512f"]):
        options = [part for option in target for part in ("-C", option)]
        subprocess.run(["rustc", "-O", *options, source, "-o", program], check=True)
        done = subprocess.run(["taskset", "-c", "0", program], capture_output=True, text=True)
        if done.returncode == 0:
            found.append([float(rate) for rate in done.stdout.split()])
    return map(max, zip(*found))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    found = glob.glob(os.path.join(here, "..", "target", "release", "deps", "training-*"))
    bench = max((f for f in found if "." not in os.path.basename(f)), key=os.path.getmtime)
    with tempfile.TemporaryDirectory() as folder:
        f64_rate, f32_rate = rates(os.path.join(here, "fma.rs"), os.path.join(folder, "fma"))
    print(f"fused multiply-adds of one core: {f64_rate} GFLOP/s in f64, {f32_rate} in f32")
    for case in sys.argv[1:] or CASES:
        sizes, rows, batch, _ = CASES[case]
        weights = [n * m for n, m in zip(sizes, sizes[1:])]
        flops = rows * (6 * sum(weights) - 2 * weights[0])
        for precision, dtype, rate in [("f64", "float64", f64_rate), ("f32", "float32", f32_rate)]:
            floor = flops / rate * 1e-9
            times = {}
            for threads in (1, 2) if case == "mlp" else (1,):
                cores = {1: "0", 2: "0,1"}[threads]
                environment = dict(
                    os.environ,
                    OPENBLAS_CORETYPE="SkylakeX",
                    OMP_NUM_THREADS=str(threads),
                    XLA_FLAGS="--xla_cpu_multi_thread_eigen=" + str(threads > 1).lower()
                    + f" intra_op_parallelism_threads={threads}",
                )
                pinned = ["taskset", "-c", cores]
                runs = {"slnn": [bench, case, precision, str(threads)]}
                for name in ("jax", "torch"):
                    runs[name] = [sys.executable, __file__, "peer", name, case, dtype, str(threads)]
                for name, command in runs.items():
                    done = subprocess.run(
                        pinned + command, env=environment, capture_output=True, text=True
                    )
                    if done.returncode:
                        print(name, done.stderr[-500:])
                        continue
                    times[name, threads] = json.loads(done.stdout.splitlines()[-1])["least"]
            print(f"{case} {precision}: floor {floor:.3g} s an epoch on one core")
            for (name, threads), seconds in times.items():
                own = times.get(("slnn", threads), seconds)
                text = f"  {name:6} {threads} core{'s' * (threads > 1)}: {seconds:.4g} s"
                text += f", {seconds / floor * threads:.2f} x the floor, {seconds / own:.2f} x slnn"
                print(text, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        peer(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
    else:
        main()
