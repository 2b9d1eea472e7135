"""Time and peak memory of one optimiser update: GFPO against TRL's GRPO, on the same rollouts.

    python benchmarks/gfpo/update.py time
    python benchmarks/gfpo/update.py memory

Generation and verification of rollouts are in neither. Time: after a short update of each, the trainers take turns,
every other turn backwards; a ratio is of updates of one turn. On a CPU with one thread it is the process's CPU time,
which other work on the machine hardly changes, otherwise the time on the clock. Memory: an update in a process of its
own, its peak over what the process held just before it (weights, optimiser state, libraries).
"""

import argparse
import ctypes
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from trainers import CHECKPOINTED, GRPO, UPDATES, Shape, Update


def seconds_of(updates: dict[str, Update], turns: int) -> dict[str, list[float]]:
    """Return the seconds of an update of each, by turn."""
    clock = time.perf_counter if torch.cuda.is_available() or torch.get_num_threads() > 1 else time.process_time
    for update in updates.values():
        update(short=True)
    seconds: dict[str, list[float]] = {name: [] for name in updates}
    for turn in range(turns):
        for name in updates if turn % 2 else reversed(updates):
            started = clock()
            updates[name]()
            seconds[name].append(clock() - started)
            print(f"turn {turn + 1} of {turns}: {name} {seconds[name][-1]:.3f} s", file=sys.stderr, flush=True)
    return seconds


def peak(update: Update) -> float:
    """Return the megabytes that an update takes beyond what is held before it.

    A short update goes before: the optimiser's state and what libraries keep are held from then on.
    """
    update(short=True)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        update()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    ctypes.CDLL(None).malloc_trim(0)  # memory that the allocator keeps would be used again, and not be seen
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    before = _resident("VmRSS")
    update()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def report_time(shape: Shape, turns: int) -> None:
    """Print the rows of a length: seconds, and GRPO's over them (median and quartiles)."""
    seconds = seconds_of({name: make(shape) for name, make in UPDATES.items() if name != CHECKPOINTED}, turns)
    for name, own in seconds.items():
        ratios = [theirs / ours for ours, theirs in zip(own, seconds[GRPO], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        ratio = "" if name == GRPO else f"{middle:.0f} ({low:.0f} to {high:.0f})"
        row(shape, name, f"{statistics.median(own):.3f}", ratio)


def report_memory(shape: Shape) -> None:
    """Print the rows of a length: megabytes, and GRPO's over them, without and with checkpointing."""
    megabytes = {}
    for name in UPDATES:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", name, str(shape.tokens)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        megabytes[name] = own = float(done.stdout.split()[-1])
        ratios = [f"{megabytes[grpo] / own:.1f}" if name.startswith("GFPO") else "" for grpo in (GRPO, CHECKPOINTED)]
        row(shape, name, f"{own:.1f}", *ratios)


def row(shape: Shape, name: str, *cells: str) -> None:
    """Print a row of either table."""
    rollouts = f"{shape.problems} x {shape.group}"
    at_once = f"{shape.problems} prompts" if name.startswith("GFPO") else f"{shape.micro_batch} rollouts"
    print(f"| {' | '.join((str(shape.tokens), rollouts, name, at_once, *cells))} |", flush=True)


def main() -> None:
    """Print a table of lengths by trainers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=("time", "memory"))
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048, 8192], help="of a completion")
    parser.add_argument("--problems", type=int, nargs="+", default=[2, 1, 1], help="of an update, by length")
    parser.add_argument("--group", type=int, nargs="+", default=[6, 2, 2], help="rollouts of a problem, by length")
    parser.add_argument("--prompt", type=int, default=96, help="tokens")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--micro-tokens", type=int, default=8192, help="completion tokens of a forward pass of GRPO")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = (arguments.prompt, arguments.micro_tokens, arguments.vocabulary, arguments.hidden, arguments.layers)
    lengths = zip(arguments.tokens, arguments.problems, arguments.group, strict=True)
    shapes = {tokens: Shape(tokens, problems, group, *sizes) for tokens, problems, group in lengths}
    if arguments.one:
        name, tokens = arguments.one
        print(peak(UPDATES[name](shapes[int(tokens)])))
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {arguments.threads} thread(s)"
    print(f"{device}, torch {torch.__version__}\n")
    found = ("seconds", "GRPO over it") if arguments.measure == "time" else ("peak, MB", "GRPO over it", "checkpointed")
    heads = ("tokens", "rollouts", "update", "at once", *found)
    print(f"| {' | '.join(heads)} |\n|" + "---|" * len(heads))
    for shape in shapes.values():
        if arguments.measure == "time":
            report_time(shape, arguments.turns)
        else:
            report_memory(shape)


if __name__ == "__main__":
    main()
