"""How the time of an epoch grows with samples, width, depth and batch size: a table and a log-log picture.

    python scripts/scaling.py

Plain SGD in float32 on one thread, dense normal inputs, relu layers.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import environment
import markup
from arguments import add_output, output_folder, positive

environment.pin_threads(1)

import figures  # noqa: E402  (NumPy must find the threads pinned)
import numpy as np  # noqa: E402
from peers import report  # noqa: E402
from peers.measure import Probe, Steady, Timing, measure  # noqa: E402

import fastnn  # noqa: E402

_INPUTS, _OUTPUTS = 64, 10
_OVERHEAD = 8  # where time is at least so many times the shortest one, the overhead no longer counts


class Setting(NamedTuple):
    """What is trained; each study changes one of these."""

    samples: int = 4096
    width: int = 64
    depth: int = 1
    batch: int = 32

    @property
    def multiply_adds(self) -> int:
        """Of one epoch: forward, gradient, and the deltas of all layers but the first."""
        hidden = (self.depth - 1) * self.width**2 + self.width * _OUTPUTS
        return self.samples * (2 * _INPUTS * self.width + 3 * hidden)


STUDIES = {
    "samples": [2**i for i in range(4, 18)],
    "width": [2**i for i in range(2, 13)],
    "depth": [2**i for i in range(9)],
    "batch": [2**i for i in range(13)],
}


def prepared(setting: Setting) -> Steady:
    """Epochs of one setting, ready to be timed; what is the same for every epoch of a fit is part of the time."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((setting.samples, _INPUTS), dtype=np.float32)
    y = generator.integers(0, _OUTPUTS, setting.samples)
    network = fastnn.Network([_INPUTS, *[setting.width] * setting.depth, _OUTPUTS], activation="relu", seed=0)
    optimizer = fastnn.SGD(1e-3)

    def epochs(count: int) -> None:
        for _ in range(count):
            network.fit(X, y, epochs=1, batch_size=setting.batch, optimizer=optimizer, progress=False)

    return Steady(str(setting), epochs)


def fitted(sizes: list[int], seconds: list[float]) -> tuple[float, list[int]]:
    """The exponent of the power law through the points out of the overhead, and which points they are.

    Where too few of them take long enough to tell, the larger half.

    Parameters
    ----------
    sizes, seconds : list
        The points.

    Returns
    -------
    exponent : float
        Of the size.
    indices : list of int
        Of the points used.
    """
    used = [i for i, second in enumerate(seconds) if second >= _OVERHEAD * min(seconds)]
    if len(used) < 3:
        used = list(range(len(sizes)))[len(sizes) // 2 :]
    x, y = np.log(np.array(sizes)[used]), np.log(np.array(seconds)[used])
    return float(np.polyfit(x, y, 1)[0]), used


def study(name: str, sizes: list[int], repeats: int, probe: Probe) -> list[Timing]:
    """Time an epoch for every size, in turn."""
    subjects = [prepared(Setting()._replace(**{name: size})) for size in sizes]
    for subject in subjects:
        subject.warm_up()
    return list(measure(subjects, repeats, probe)[0].values())


def _described(setting: Setting) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in setting._asdict().items())


def markdown(found: dict[str, list[Timing]], sizes: dict[str, list[int]]) -> str:
    """A table for each study."""
    lines = [report.machine_line(report.machine()), ""]
    lines += [f"Unless varied: {_described(Setting())}, {_INPUTS} inputs, {_OUTPUTS} outputs. Medians (quartiles)."]
    for name, timings in found.items():
        exponent, used = fitted(sizes[name], [timing.median for timing in timings])
        points = f"{sizes[name][used[0]]:,} to {sizes[name][used[-1]]:,}"
        rows = []
        for size, timing in zip(sizes[name], timings, strict=True):
            setting = Setting()._replace(**{name: size})
            each = 1e9 * timing.median
            speeds = f"{each / setting.samples:.0f}", f"{setting.multiply_adds / each:.2f}"
            rows.append([f"{size:,}", str(timing), *speeds])
        lines += ["", markup.table([name, "s/epoch", "ns/sample", "multiply-adds/ns"], rows)]
        lines += ["", f"Exponent of {name}: {exponent:.2f}, fitted from {points}."]
    return "\n".join(lines) + "\n"


def draw(found: dict[str, list[Timing]], sizes: dict[str, list[int]], path: Path) -> bool:
    """A log-log panel for each study; filled points are those that the line is fitted to."""
    pyplot = figures.pyplot()
    if pyplot is None:
        return False
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 6))
    for panel, (name, timings) in zip(axes.flat, found.items(), strict=True):
        _draw_study(panel, name, np.array(sizes[name]), np.array([timing.median for timing in timings]))
    figures.save(figure, path)
    return True


def _draw_study(panel: Any, name: str, x: Any, y: Any) -> None:
    exponent, used = fitted(list(x), list(y))
    panel.loglog(x, y, "o", color="black", markerfacecolor="white")
    panel.loglog(x[used], y[used], "o", color="black")
    scale = np.exp(np.mean(np.log(y[used]) - exponent * np.log(x[used])))
    panel.loglog(x[used], scale * x[used] ** exponent, "-", color="0.4", label=f"exponent {exponent:.2f}")
    panel.legend(frameon=False)
    panel.set_xlabel({"width": "width of the hidden layer", "depth": "hidden layers"}.get(name, name))
    panel.set_ylabel("seconds per epoch")
    panel.grid(alpha=0.3)


def main(arguments: list[str]) -> int:
    """Measure and write; see the top of the file.

    Parameters
    ----------
    arguments : list of str
        The command line.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--repeats", type=positive, default=5, help="measurements of each point (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one repeat and every third size: does it work?")
    add_output(parser)
    options = parser.parse_args(arguments)
    sizes = {name: points[:: 3 if options.quick else 1] for name, points in STUDIES.items()}
    probe, found = Probe(), {}
    for name, points in sizes.items():
        print(f"{name}: {len(points)} sizes up to {points[-1]:,}", flush=True)
        found[name] = study(name, points, 1 if options.quick else options.repeats, probe)
    folder = output_folder(options)
    text, picture = folder / "scaling.md", folder / "scaling.svg"
    text.write_text(markdown(found, sizes), encoding="utf-8")
    print("", text.read_text(encoding="utf-8"), sep="\n")
    print("wrote", text, picture if draw(found, sizes, picture) else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
