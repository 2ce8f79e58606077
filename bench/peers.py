"""Measures PyTorch and tenfold, taking turns in one run, on the recipes of the built-in study or another.

README.md says how, and how to install what this needs.
"""

import argparse
import ctypes
import gzip
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

# How PyTorch and the libraries in it (oneDNN, MKL) are told to use no more than an instruction set.
INSTRUCTIONS = {
    "portable": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    # Without the instructions for whole matrices (AMX), which tenfold does not use.
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
    },
}


def instructions_asked_for():
    """The value of --isa, before everything else: PyTorch reads the environment when it is imported."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--isa", choices=INSTRUCTIONS)
    return parser.parse_known_args()[0].isa


os.environ.update(INSTRUCTIONS.get(instructions_asked_for(), {}))

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    sys.exit(f"error: {error}\nhint: pip install -r bench/requirements.txt")

REPOSITORY = Path(__file__).resolve().parent.parent
# Evaluations are given for so many images.
TEST_IMAGES = 10_000
EVALUATION_BATCH = 1_000
RUST_PEERS = ("burn-flex", "candle")
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def main():
    args = arguments()
    readme = split_at_markers(args.write) if args.write else None
    tune_pytorch(args.threads)
    data = colour_images() if args.colour else mnist(REPOSITORY / "data/mnist")
    with tempfile.TemporaryDirectory() as folder:
        if args.colour:
            args.data = Path(folder) / "colour.npz"
            to_npz(args.data, data)
        measure(args, data, readme)


def measure(args, data, readme):
    described = tenfold(args, "--seconds", "0.05")
    recipes = described["recipes"]
    names = [recipe["name"] for recipe in recipes]
    if unknown := [name for name in args.only if name not in names]:
        sys.exit(f"error: there is no recipe {unknown[0]!r}; there are {', '.join(names)}")

    results = []
    for recipe in recipes:
        if not args.only or recipe["name"] in args.only:
            # What one recipe compiled must not slow down the look-up of the next.
            torch._dynamo.reset()
            contestants = line_up(recipe, data, args)
            take_turns(recipe["name"], contestants, args)
            if args.epochs:
                whole_epochs(recipe["name"], contestants, args)
            results.append((recipe, contestants))

    text = report(described["environment"], results, args)
    print(f"{text}\n\n{every_contestant(results)}")
    if args.json:
        args.json.write_text(json.dumps(record(described["environment"], results, args), indent=2) + "\n")
    if readme:
        before, after = readme
        args.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    option = parser.add_argument
    names = lambda text: text.split(",")
    binary = REPOSITORY / "target/release/tenfold"
    option("--study", type=Path, metavar="FILE", help="the recipes of this file (default: the built-in study)")
    option("--colour", action="store_true", help="made-up colour images of 32x32 in place of MNIST")
    option("--only", type=names, default=[], metavar="NAME,NAME", help="only these recipes")
    precisions = "of f32, bf16 and bf16-tile, which is tenfold's alone (default: f32,bf16)"
    option("--precisions", type=names, default=["f32", "bf16"], metavar="P,P", help=precisions)
    option("--threads", type=whole, default=os.cpu_count(), metavar="N", help="threads of each (default: all cores)")
    isa = "no more of the processor's instructions than these, for PyTorch and tenfold (default: all it has)"
    option("--isa", choices=INSTRUCTIONS, help=isa)
    option("--rounds", type=whole, default=5, metavar="R", help="turns of each (default: %(default)s)")
    option("--seconds", type=float, default=2.0, metavar="S", help="seconds of a turn (default: %(default)s)")
    whole_epochs = "then train whole epochs, the best variant of each, and take the time of the last (default: none)"
    option("--epochs", type=whole, metavar="E", help=whole_epochs)
    option("--tenfold", type=Path, default=binary, metavar="PATH", help="default: target/release/tenfold")
    option("--rust-peers", type=Path, metavar="PATH", help="binary of rust-peers: measure burn and candle too")
    option("--json", type=Path, metavar="FILE", help="write every measurement to this file")
    option("--write", type=Path, metavar="FILE", help=f"put the table between {BEGIN} and {END} in this file")
    args = parser.parse_args()
    args.data = None
    if args.isa and args.epochs:
        parser.error("--epochs: `tenfold run` always uses all instructions; leave out --isa or --epochs")
    if args.isa in ("portable", "avx2"):
        # Without instructions for bf16 both sides would do it in software, for minutes.
        args.precisions = [precision for precision in args.precisions if precision == "f32"]
    if unknown := [name for name in args.precisions if name not in ("f32", "bf16", "bf16-tile")]:
        parser.error(f"--precisions: there is no {unknown[0]!r}; there are f32, bf16 and bf16-tile")
    if args.rust_peers and (args.study or args.colour):
        parser.error("--rust-peers know the built-in study; leave out --study and --colour, or --rust-peers")
    if args.isa and args.rust_peers:
        parser.error("--rust-peers are built for one instruction set; leave out --isa or --rust-peers")
    if not args.tenfold.is_file():
        sys.exit(f"error: {args.tenfold}: there is no such file\nhint: cargo build --release")
    if args.rust_peers and not args.rust_peers.is_file():
        hint = "cd bench/rust-peers && cargo build --release"
        sys.exit(f"error: {args.rust_peers}: there is no such file\nhint: {hint}")
    return args


def whole(text):
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


# The contestants. Each has a turn in every round, and says what it measured there.


@dataclass
class Contestant:
    framework: str
    variant: str
    precision: str
    ms_per_step: list = field(default_factory=list)
    evaluation_s: list = field(default_factory=list)
    """The last of several whole epochs of a training from its beginning."""
    whole_epoch_s: float = None
    failure: str = None

    def warm_up(self):
        pass

    def turn(self, seconds):
        """Median milliseconds of a training step, and seconds for the test images where they are measured."""
        raise NotImplementedError

    def last_epoch_s(self, epochs):
        """Seconds of the training steps of the last of so many epochs, in a training from its beginning."""
        raise NotImplementedError


class PyTorch(Contestant):
    def __init__(self, recipe, data, channels_last, compiled, precision):
        layout = "channels-last" if channels_last else "contiguous"
        has_planes = has_convolutions(recipe)
        super().__init__("PyTorch", ("compile" if compiled else "eager") + f", {layout}" * has_planes, precision)
        self.start = (recipe, data, channels_last, compiled, precision)
        self.batch_size = recipe["batch_size"]
        self.images, self.labels, self.test_images, self.test_labels = data
        # As many as tenfold trains on.
        trained_on = images_of_an_epoch(recipe)
        self.images, self.labels = self.images[:trained_on], self.labels[:trained_on]
        if not has_planes:
            self.images, self.test_images = self.images.flatten(1), self.test_images.flatten(1)
        self.network = network(recipe["layers"], self.images[:2])
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        if parameters != recipe["parameters"]:
            counts = f"{parameters} parameters in PyTorch and {recipe['parameters']} in tenfold"
            sys.exit(f"error: {recipe['name']} has {counts}")
        if channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.optimizer = adam(recipe["optimizer"], self.network.parameters())
        self.forward = torch.compile(self.loss) if compiled else self.loss
        self.predict = torch.compile(self.network) if compiled else self.network
        self.batches = iter(())

    def loss(self, images, labels):
        with self.autocast():
            return F.cross_entropy(self.network(images), labels)

    def autocast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def step(self):
        batch = next(self.batches, None)
        if batch is None:
            # Gathering by index costs less than putting all images in a new order once per epoch and slicing them.
            self.batches = iter(torch.randperm(len(self.images)).split(self.batch_size))
            batch = next(self.batches)
        self.optimizer.zero_grad(set_to_none=True)
        self.forward(self.images.index_select(0, batch), self.labels.index_select(0, batch)).backward()
        self.optimizer.step()

    def evaluate(self):
        with torch.inference_mode(), self.autocast():
            parts = zip(self.test_images.split(EVALUATION_BATCH), self.test_labels.split(EVALUATION_BATCH))
            return sum((self.predict(images).argmax(1) == labels).sum() for images, labels in parts).item()

    def warm_up(self):
        for _ in range(3):
            self.step()
        self.network.eval()
        self.evaluate()
        self.network.train()

    def turn(self, seconds):
        # The others have emptied the caches.
        times_s(self.step, seconds / 10)
        training = statistics.median(times_s(self.step, seconds)) * 1e3
        self.network.eval()
        evaluation = statistics.median(times_s(self.evaluate, seconds / 2)) * TEST_IMAGES / len(self.test_images)
        self.network.train()
        return training, evaluation

    def last_epoch_s(self, epochs):
        fresh = PyTorch(*self.start)
        fresh.warm_up()
        for _ in range(epochs):
            fresh.batches = iter(torch.randperm(len(self.images)).split(self.batch_size))
            start = time.perf_counter()
            for _ in range(-(-len(self.images) // self.batch_size)):
                fresh.step()
            seconds = time.perf_counter() - start
        return seconds


class Tenfold(Contestant):
    def __init__(self, recipe, args, precision):
        super().__init__("tenfold", "", precision)
        self.recipe, self.args = recipe, args

    def warm_up(self):
        self.turn(0.05)

    def turn(self, seconds):
        [measured] = tenfold(self.args, "--seconds", str(seconds), *self.choice())["recipes"]
        return measured["ms_per_step"], TEST_IMAGES / measured["evaluation_images_per_s"]

    def choice(self):
        precision = [] if self.precision == "f32" else ["--precision", self.precision]
        return ["--only", self.recipe["name"], *precision]

    def last_epoch_s(self, epochs):
        threads = ["--threads", str(self.args.threads)]
        with tempfile.TemporaryDirectory() as folder:
            out = ["--out", f"{folder}/run", "--epochs", str(epochs), "--format", "json"]
            record = json_of([self.args.tenfold, "run", *study_and_data(self.args), *self.choice(), *threads, *out])
        [recipe] = [recipe for recipe in record["recipes"] if recipe["trials"]]
        return recipe["trials"][0]["epochs"][-1]["train_time_s"]


class RustPeer(Contestant):
    def __init__(self, recipe, args, framework, threads):
        super().__init__(framework, counted(threads, "thread"), "f32")
        self.command = [args.rust_peers, "--only", recipe["name"], "--framework", framework, "--threads", str(threads)]

    def turn(self, seconds):
        measured = json_of([*self.command, "--seconds", str(seconds)])
        return measured["ms_per_step"], None


def line_up(recipe, data, args):
    convolutions = has_convolutions(recipe)
    precisions = args.precisions if convolutions else [p for p in args.precisions if p == "f32"]
    contestants = [
        PyTorch(recipe, data, channels_last, compiled, precision)
        for precision in precisions if precision != "bf16-tile"
        for channels_last in ([False, True] if convolutions else [False])
        for compiled in [False, True]
    ]
    contestants += [Tenfold(recipe, args, precision) for precision in precisions]
    if args.rust_peers:
        # Small networks are faster in them on one thread than on two.
        thread_counts = sorted({1, args.threads})
        contestants += [RustPeer(recipe, args, framework, n) for framework in RUST_PEERS for n in thread_counts]
    return contestants


def take_turns(name, contestants, args):
    for contestant in contestants:
        attempt(name, "warm-up", contestant, contestant.warm_up)
    for round in range(args.rounds):
        # There and back, so that a machine that slows down or speeds up favours nobody.
        for contestant in contestants if round % 2 == 0 else reversed(contestants):
            what = f"round {round + 1} of {args.rounds}"
            if measured := attempt(name, what, contestant, lambda: contestant.turn(args.seconds)):
                ms_per_step, evaluation_s = measured
                contestant.ms_per_step.append(ms_per_step)
                if evaluation_s is not None:
                    contestant.evaluation_s.append(evaluation_s)


def whole_epochs(name, contestants, args):
    for precision in ("f32", "bf16"):
        for framework in ("PyTorch", "tenfold"):
            if best := fastest(contestants, framework, precision, step_ms):
                what = counted(args.epochs, "epoch")
                best.whole_epoch_s = attempt(name, what, best, lambda: best.last_epoch_s(args.epochs))


def attempt(name, what, contestant, action):
    """A contestant that fails is out; the table says why."""
    if contestant.failure:
        return None
    print(f"{name}: {what}: {title(contestant)}", file=sys.stderr)
    try:
        return action()
    except Exception as error:
        if not isinstance(error, Failed):
            traceback.print_exc()
        contestant.failure = next(iter(str(error).strip().splitlines()), type(error).__name__)
        print(f"{name}: {title(contestant)} is out: {contestant.failure}", file=sys.stderr)
        return None


def times_s(action, seconds):
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return times


# PyTorch


def tune_pytorch(threads):
    torch.set_num_threads(threads)
    # Adam's moments of weights that rarely get a gradient decay into denormal numbers, which are slow. Threads inherit
    # the setting, so it comes before the first of them.
    torch.set_flush_denormal(True)
    # glibc gives large blocks back to the system and takes new ones, page by page, in every step. Keep them.
    if platform.libc_ver()[0] == "glibc":
        m_trim_threshold, m_mmap_threshold = -1, -3
        for option in (m_trim_threshold, m_mmap_threshold):
            ctypes.CDLL(None).mallopt(option, 1 << 30)
    # Without this, the ninth compilation of the same function would silently run eagerly.
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.fail_on_recompile_limit_hit = True


def has_convolutions(recipe):
    inside = (part for layer in recipe["layers"] for part in (layer if isinstance(layer, list) else [layer]))
    return any(layer.startswith(("conv", "depthwise")) for layer in inside)


class Residual(nn.Module):
    """Layers whose output is added to their input, or to a projection of it where the shapes differ."""

    def __init__(self, layers, example):
        super().__init__()
        self.layers = network(layers, example)
        output = self.layers(example)
        self.shortcut = nn.Identity()
        if output.shape != example.shape:
            stride = -(-example.shape[2] // output.shape[2])
            conv = nn.Conv2d(example.shape[1], output.shape[1], 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(output.shape[1]))

    def forward(self, x):
        return self.layers(x) + self.shortcut(x)


def convolution(channels, size, stride, groups, bias):
    height, width = map(int, size.split("x"))
    step = int(stride[1]) if stride else 1
    padding = (height // 2, width // 2)
    return nn.LazyConv2d(channels, (height, width), step, padding, groups=groups, bias=bias)


def network(layers, example):
    modules = []
    for index, layer in enumerate(layers):
        if isinstance(layer, list):
            so_far = nn.Sequential(*modules)
            modules.append(Residual(layer, so_far(example)))
            continue
        behind = next((later for later in layers[index + 1:] if "pool" not in later), "")
        bias = not (isinstance(behind, str) and behind.startswith("batchnorm"))
        match layer.split():
            case ["conv", channels, size, *stride, "same"]:
                modules.append(convolution(int(channels), size, stride, 1, bias))
            case ["conv", channels, size, *stride, "same", "groups", groups]:
                modules.append(convolution(int(channels), size, stride, int(groups), bias))
            case ["depthwise", size, *stride, "same"]:
                channels = nn.Sequential(*modules)(example).shape[1]
                modules.append(convolution(channels, size, stride, channels, bias))
            case ["batchnorm"]:
                maps = not any(isinstance(module, nn.Flatten) for module in modules)
                modules.append(nn.LazyBatchNorm2d() if maps else nn.LazyBatchNorm1d())
            case ["global-avgpool"]:
                modules.append(nn.AdaptiveAvgPool2d(1))
            case ["maxpool", size]:
                modules.append(nn.MaxPool2d(int(size)))
            case ["relu"]:
                modules.append(nn.ReLU())
            case ["silu"]:
                modules.append(nn.SiLU())
            case ["leakyrelu", slope]:
                modules.append(nn.LeakyReLU(float(slope)))
            case ["dropout", probability]:
                modules.append(nn.Dropout(float(probability)))
            case ["linear", width]:
                if example.dim() > 2 and not any(isinstance(module, nn.Flatten) for module in modules):
                    modules.append(nn.Flatten())
                modules.append(nn.LazyLinear(int(width), bias=bias))
            case _:
                sys.exit(f"error: peers.py does not know the layer {layer!r}")
    network = nn.Sequential(*modules)
    # Lazy layers learn the size of their input from a first example.
    network(example)
    return network


def adam(optimizer, parameters):
    if optimizer["kind"] != "adam":
        sys.exit(f"error: peers.py does not know the optimizer {optimizer['kind']!r}")
    settings = {key: optimizer[key] for key in ("betas", "eps", "weight_decay") if key in optimizer}
    return torch.optim.Adam(parameters, lr=optimizer["lr"], fused=True, **settings)


def mnist(folder):
    """Training images from 0 to 1, their labels, test images, their labels. Which of them train does not matter here."""

    def bytes_of(file, header):
        return np.frombuffer(gzip.decompress((folder / file).read_bytes()), np.uint8, offset=header)

    def part(name):
        images = bytes_of(f"{name}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
        labels = bytes_of(f"{name}-labels-idx1-ubyte.gz", 8)
        return torch.from_numpy(images.astype(np.float32) / 255), torch.from_numpy(labels.astype(np.int64))

    return *part("train"), *part("t10k")


def colour_images():
    """The same of made-up images without a blank pixel: of each class a pattern of its own, and noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(64, 192, (10, 3, 8, 8)).repeat(4, axis=2).repeat(4, axis=3)

    def part(count):
        labels = np.arange(count) % 10
        images = (patterns[labels] + rng.normal(0, 24, (count, 3, 32, 32))).clip(0, 255).astype(np.uint8)
        return torch.from_numpy(images.astype(np.float32) / 255), torch.from_numpy(labels)

    return *part(10_000), *part(2_000)


def to_npz(path, data):
    images = lambda part: (part * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    names = ("x_train", "y_train", "x_test", "y_test")
    parts = (images(data[0]), data[1].numpy(), images(data[2]), data[3].numpy())
    np.savez(path, **dict(zip(names, parts)))


def images_of_an_epoch(recipe):
    return round(recipe["epoch_s"] * recipe["images_per_s"])


# Other programs


def tenfold(args, *options):
    isa = ("--isa", args.isa) if args.isa else ()
    threads = ("--threads", str(args.threads))
    return json_of([args.tenfold, "bench", *study_and_data(args), "--format", "json", *threads, *isa, *options])


def study_and_data(args):
    return [*([args.study] if args.study else []), *(["--data", args.data] if args.data else [])]


def json_of(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0].name} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


class Failed(Exception):
    """Another program did not do what it was asked."""


# What comes out


def title(contestant):
    variant = f" {contestant.variant}" if contestant.variant else ""
    return f"{contestant.framework}{variant}, {contestant.precision}"


def report(environment, results, args):
    """What the README shows: a sentence, the fastest PyTorch beside tenfold, and the Rust frameworks if they ran."""
    sentence = (
        f"Measured on {machine()}, with {counted(args.threads, 'thread')} each: tenfold {version(environment)} with "
        f"{environment['isa']}, PyTorch {torch.__version__.split('+')[0]} in the fastest of its variants. "
        f"Milliseconds per training step are the median of {counted(args.rounds, 'round')}, then the smallest and the "
        f"largest; epochs are {images_of_an_epoch(results[0][0]):,} images, {how_epochs(args)}, evaluations "
        f"{TEST_IMAGES:,}; times of PyTorch come first, and ratios are theirs to tenfold's."
    )
    rows = []
    for recipe, contestants in results:
        for precision in ("f32", "bf16"):
            ours = fastest(contestants, "tenfold", precision, step_ms)
            peer = fastest(contestants, "PyTorch", precision, step_ms)
            if ours and peer:
                evaluation = evaluation_s(fastest(contestants, "PyTorch", precision, evaluation_s))
                epochs = [epoch_s(recipe, contestant) for contestant in (peer, ours)]
                rows.append([
                    recipe["name"], precision, peer.variant, spread(peer.ms_per_step), spread(ours.ms_per_step),
                    f"**{step_ms(peer) / step_ms(ours):.1f}x**",
                    f"{short(epochs[0])} / {short(epochs[1])} s", f"**{epochs[0] / epochs[1]:.1f}x**",
                    f"{short(evaluation)} / {short(evaluation_s(ours))} s", f"{evaluation / evaluation_s(ours):.1f}x",
                ])
    steps = ["PyTorch", "PyTorch, ms/step", "tenfold, ms/step", "ratio"]
    parts = [sentence, table(["recipe", "precision", *steps, "epoch", "ratio", "evaluation", "ratio"], rows)]

    rows = []
    for recipe, contestants in results:
        ours = fastest(contestants, "tenfold", "f32", step_ms)
        for framework in RUST_PEERS:
            peer = fastest(contestants, framework, "f32", step_ms)
            if ours and peer:
                rows.append([
                    recipe["name"], f"{framework}, {peer.variant}", spread(peer.ms_per_step),
                    f"**{step_ms(peer) / step_ms(ours):.1f}x**", f"{short(epoch_s(recipe, peer))} s",
                ])
    if rows:
        parts.append(table(["recipe", "framework", "ms/step", "ratio", "epoch"], rows))
    return "\n\n".join(parts)


def every_contestant(results):
    rows = []
    for recipe, contestants in results:
        for contestant in contestants:
            name = [recipe["name"], contestant.framework, contestant.variant, contestant.precision]
            if contestant.failure:
                rows.append([*name, f"failed: {contestant.failure}", "", ""])
            else:
                evaluation = f"{short(evaluation_s(contestant))} s" if contestant.evaluation_s else ""
                epoch = f"{short(epoch_s(recipe, contestant))} s"
                rows.append([*name, spread(contestant.ms_per_step), epoch, evaluation])
    return table(["recipe", "framework", "variant", "precision", "ms/step", "epoch", "evaluation"], rows)


def record(environment, results, args):
    def entry(contestant):
        values = {key: getattr(contestant, key) for key in ("framework", "variant", "precision", "failure")}
        values["whole_epoch_s"] = contestant.whole_epoch_s
        for key in ("ms_per_step", "evaluation_s"):
            rounds = getattr(contestant, key)
            values[key] = statistics.median(rounds) if rounds else None
            values[f"{key}_rounds"] = rounds
        return values

    return {
        "machine": machine(), "environment": environment,
        "pytorch": torch.__version__, "python": platform.python_version(),
        "threads": args.threads, "rounds": args.rounds, "seconds": args.seconds, "epochs": args.epochs,
        "recipes": [
            {key: recipe[key] for key in ("name", "batch_size", "parameters", "optimizer", "layers")}
            | {"contestants": [entry(contestant) for contestant in contestants]}
            for recipe, contestants in results
        ],
    }


def fastest(contestants, framework, precision, measure):
    candidates = [c for c in contestants if (c.framework, c.precision) == (framework, precision) and not c.failure]
    return min(candidates, key=measure, default=None)


def step_ms(contestant):
    return statistics.median(contestant.ms_per_step)


def evaluation_s(contestant):
    return statistics.median(contestant.evaluation_s)


def how_epochs(args):
    return f"the last of {args.epochs} of a real training" if args.epochs else "by the time of a step"


def epoch_s(recipe, contestant):
    if contestant.whole_epoch_s is not None:
        return contestant.whole_epoch_s
    return step_ms(contestant) / 1e3 * images_of_an_epoch(recipe) / recipe["batch_size"]


def spread(values):
    return f"{short(statistics.median(values))} ({short(min(values))}-{short(max(values))})"


def short(value):
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def machine():
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", info, re.MULTILINE))
    name = fields.get("model name", "an unknown processor")
    # Some virtual machines call every generation by one name.
    numbers = f" (family {fields['cpu family']}, model {fields['model']})" if "cpu family" in fields else ""
    return f"{name}{numbers}, {counted(os.cpu_count(), 'core')}"


def version(environment):
    commit = environment.get("commit")
    return f"{environment['version']} ({commit[:7]})" if commit and commit != "unknown" else environment["version"]


def counted(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def split_at_markers(path):
    """What stands before and after the part to replace. Asked for before measuring, so that a slip costs seconds."""
    text = path.read_text() if path.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"error: {path}: there are no lines {BEGIN} and {END}, between which the table would go")
    return before, after


if __name__ == "__main__":
    try:
        main()
    except Failed as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
