"""A network that tenfold has trained, as a PyTorch module.

    from tenfold_torch import load
    network, about = load("runs/digits/trials/cnn2/seed-1/model.safetensors")
    logits = network(images)                             # [N, C, H, W], numbers from 0 to 255
    print(about["classes"][logits[0].argmax()])

Needs torch and safetensors. Its parameters have the names of the file, and it can be trained on; `network.train()` first, since
`load` leaves it as it is evaluated. Logits are those of `tenfold predict`, divided by a temperature where the file has one; of a
network of bf16 they differ by its rounding, since everything here is f32. fixtures/check_run.py compares, image by image.
"""

import json
from collections import Counter, OrderedDict

import torch
from safetensors import safe_open
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "silu": nn.SiLU}
# What the arrays of a layer are called by, where that is not its own name.
KINDS = {"linear": "fc", "depthwise": "conv", "batchnorm": "bn"}


def load(path):
    """The network of a model.safetensors, and what the file says about it: layers, shape, classes, pixels and more."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["tenfold"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    network = Network(about, arrays)
    missing, unexpected = network.load_state_dict(arrays, strict=False)
    # PyTorch counts the batches that a batch norm has seen, which matters only without a momentum.
    missing = [name for name in missing if not name.endswith(("num_batches_tracked", "pixel_mean", "pixel_std"))]
    assert not missing and not unexpected, f"missing: {missing}, not used: {unexpected}"
    return network.eval(), about


class Layers(nn.Module):
    """Layers one behind the other; a list among them is a residual block."""

    def __init__(self, layers, arrays, scope=""):
        super().__init__()
        self.order, counts = [], Counter()
        for layer in layers:
            word = "block" if isinstance(layer, list) else layer.split()[0]
            kind = KINDS.get(word, word.replace("-", ""))
            counts[kind] += 1
            name = f"{kind}{counts[kind]}"
            if word == "block":
                module = Block(layer, arrays, f"{scope}{name}.")
            else:
                module = module_of(layer, lambda part: arrays.get(f"{scope}{name}.{part}"))
            self.add_module(name, module)
            self.order.append(name)

    def forward(self, x):
        for name in self.order:
            x = getattr(self, name)(x)
        return x


class Network(Layers):
    def __init__(self, about, arrays):
        super().__init__(about["layers"], arrays)
        for name in ("mean", "std"):
            self.register_buffer(f"pixel_{name}", torch.tensor(about["pixels"][name]).float().reshape(-1, 1, 1))
        self.temperature = about.get("temperature") or 1.0

    def forward(self, x):
        return super().forward((x / 255 - self.pixel_mean) / self.pixel_std).flatten(1) / self.temperature


class Block(Layers):
    """Adds its input to what its layers make of it: as it is, or through a 1x1 convolution where shapes differ."""

    def __init__(self, layers, arrays, scope):
        super().__init__(layers, arrays, scope)
        self.shortcut = nn.Identity()
        weight = arrays.get(f"{scope}shortcut.conv.weight")
        if weight is not None:
            rows = columns = 1
            for layer in layers:
                stride = stride_of(layer.split())
                rows, columns = min(rows * stride[0], 256), min(columns * stride[1], 256)
            conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, (rows, columns), bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, bn=BatchNorm(weight.shape[0])))

    def forward(self, x):
        return super().forward(x) + self.shortcut(x)


class Linear(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1))


class BatchNorm(nn.BatchNorm2d):
    def _check_input_dim(self, x):
        """Takes feature maps and the outputs of a linear layer."""


def size(text):
    """2 or 2x3, rows before columns."""
    numbers = [int(number) for number in text.split("x")]
    return numbers[0], numbers[-1]


def word_after(words, name, default):
    return words[words.index(name) + 1] if name in words else default


def stride_of(words):
    if words[0] == "global-avgpool":
        return 256, 256  # any that is past the end of the image
    return size(word_after(words, "stride", words[1] if words[0] in ("maxpool", "avgpool") else "1"))


def module_of(text, array):
    """The layer that is written like this; `array(name)` is one of its arrays, if it has that."""
    word, *rest = words = text.split()
    if word in ("conv", "depthwise", "whiten"):
        weight = array("weight")
        height, width = weight.shape[2:]
        same = ((height - 1) // 2, (width - 1) // 2)
        padding = same if "same" in rest else size(word_after(rest, "padding", "0"))
        groups = len(weight) if word == "depthwise" else int(word_after(rest, "groups", "1"))
        inputs, has_bias = weight.shape[1] * groups, array("bias") is not None
        conv = nn.Conv2d(inputs, len(weight), (height, width), stride_of(words), padding, groups=groups, bias=has_bias)
        return conv.requires_grad_(word != "whiten")  # whose filters no training changes
    if word == "linear":
        outputs, inputs = array("weight").shape
        return Linear(inputs, outputs, bias=array("bias") is not None)
    if word == "batchnorm":
        eps, momentum = float(word_after(rest, "eps", "1e-5")), float(word_after(rest, "momentum", "0.1"))
        return BatchNorm(len(array("weight")), eps, momentum)
    if word in ("maxpool", "avgpool"):
        pool = nn.MaxPool2d if word == "maxpool" else nn.AvgPool2d
        return pool(size(rest[0]), stride_of(words))
    if word in ACTIVATIONS:
        return ACTIVATIONS[word]()
    match word:
        case "leakyrelu":
            return nn.LeakyReLU(float(rest[0]) if rest else 0.01)
        case "global-avgpool":
            return nn.AdaptiveAvgPool2d(1)
        case "dropout":
            return nn.Dropout(float(rest[0]))
        case "flatten":
            return nn.Flatten()
    raise ValueError(f"there is no layer {text!r}")
