"""A torch network as one ONNX file: static, folded, fp32.

And the same graph in fp16 or int8.  The precision lives in the file, so that
every runtime (TensorRT strongly typed too) takes it as it is; inputs and outputs
are float32 in all of them.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from vnect_ros.errors import ModelError, describe
from vnect_ros.halves import store_in_half

if TYPE_CHECKING:
    import onnx
    from torch import nn

OPSET: Final = 18
IMAGE: Final = "image"
GRAVITY: Final = "gravity"
MAPS: Final = "maps"
PRESENCE: Final = "presence"
_CHANNELS: Final = 84

# A bone's length: its square overflows fp16 beyond 2.5 m, and its root loses the small ones.
_ROOTS: Final = ("Sqrt", "ReduceL2")
_SQUARES: Final = ("Mul", "Pow", "Add", "Sum", "ReduceSum", "ReduceSumSquare", "Max", "Clip")

CALIBRATIONS: Final = ("minmax", "percentile", "entropy")


def export_onnx(network: nn.Module, input_size: int, file: Path) -> None:
    """Write the network, in eval mode, as an ONNX file with batch 1.

    Normalisations and arithmetic on weights are folded into the convolutions.

    Args:
        network: maps [1, 3, S, S] float32 to [1, 84, h, w]; or, with gravity [1, 3] besides,
            to those and presence [1, 1].
        input_size: S [px].

    Raises:
        ModelError: the exporter fails, or the output has another shape.
    """
    import onnx
    import torch

    from vnect_ros.networks.fold import fold_batch_norm

    # Where gradients are wanted, the trunk computes more than it needs (`movenet.SameConv`).
    folded = fold_batch_norm(network.cpu().float()).requires_grad_(False)
    example: tuple[torch.Tensor, ...] = (torch.zeros(1, 3, input_size, input_size),)
    inputs, outputs = [IMAGE], [MAPS]
    if takes_gravity(network):
        example += (torch.zeros(1, 3),)
        inputs, outputs = [IMAGE, GRAVITY], [MAPS, PRESENCE]
    with torch.no_grad():
        maps = folded(*example)
    shape = tuple(maps[0].shape) if isinstance(maps, tuple) else tuple(maps.shape)
    if len(shape) != 4 or shape[:2] != (1, _CHANNELS):
        raise ModelError(describe("network: output", shape, "(1, 84, h, w)"))
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "raw.onnx"
        for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they chat at INFO and WARNING
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    folded, example, str(raw), input_names=inputs, output_names=outputs,
                    opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
                )  # fmt: skip
        except Exception as error:  # the exporter's errors share no narrower base
            raise ModelError(f"torch cannot export {type(network).__name__}: {error}") from error
        model = _folded_constants(raw)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))


def takes_gravity(network: nn.Module) -> bool:
    """Whether a network has the input of gravity and the output of presence."""
    from vnect_ros.networks.lite import VNectLite

    return isinstance(network, VNectLite)


def _folded_constants(file: Path) -> onnx.ModelProto:
    """The graph after ONNX Runtime's basic, hardware-independent simplification."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file.with_name("folded.onnx"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    model = onnx.load(options.optimized_model_filepath)
    foreign = {n.domain for n in model.graph.node} - {"", "ai.onnx"}
    if foreign:
        raise ModelError(describe("exported operators' domain", sorted(foreign), "ai.onnx"))
    # The runtime declares every domain it knows; parsers elsewhere refuse unknown ones.
    kept = [o for o in model.opset_import if o.domain in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    model.producer_name, model.producer_version = "vnect_ros", ""
    del model.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.metadata_props[:]
    return model


def bone_length_nodes(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that square, sum and take the root: they stay in fp32."""
    producer = {out: node for node in model.graph.node for out in node.output}
    found: set[str] = set()
    waiting = [node for node in model.graph.node if node.op_type in _ROOTS]
    while waiting:
        node = waiting.pop()
        found.add(node.name)
        sources = [producer[i] for i in node.input if i in producer]
        waiting += [s for s in sources if s.op_type in _SQUARES and s.name not in found]
    return found


_READOUTS: Final = ("head.heatmaps.maps.", "head.delta.", "head.summary.")
"""Layers of `VNectLite` whose output is read, not convolved on."""


_SENSITIVE: Final = (
    "trunk.stem.", "trunk.blocks.0.", "trunk.blocks.1.", "trunk.blocks.2.", "trunk.merges.2.",
    "head.heatmaps.",
)  # fmt: skip
"""Layers of `VNectLite` at strides 2 and 4 that stay in float32 in the int8 form: with them
quantised joints move twice as far (2.4 px, 18 mm in the mean instead of 1.2 px, 9 mm)."""


TRAINED_FLOAT: Final = (
    "trunk.stem.", "trunk.blocks.0.depthwise.", "trunk.merges.2.depthwise.",
    "trunk.merges.2.pointwise.", "head.heatmaps.", "head.delta.", "head.summary.",
)  # fmt: skip
"""Layers of `VNectLite` that stay in float32 where the int8 form is trained as such
(`learning.distillation`): the first two would gain no time, the heatmaps' next to none and
cost a quarter of a pixel, and the others are read."""


def readout_nodes(model: onnx.ModelProto) -> tuple[set[str], set[str]]:
    """The layers that give what the network reads out, and the nodes behind them, by name.

    Heatmaps stay below 1 and locations reach several decimetres: what handles both
    (bone lengths, a read-out by soft maxima, a lifter) needs more than a reduced
    precision holds.
    """
    weights = {w.name: list(w.dims) for w in model.graph.initializer}
    giving: set[str] = set()
    behind: set[str] = set()
    reached: set[str] = set()
    for node in model.graph.node:
        if reached & set(node.input):
            behind.add(node.name)
        elif any(
            i.startswith(_READOUTS)
            or (node.op_type == "Conv" and weights.get(i, [0])[0] == _CHANNELS)
            for i in node.input
        ):
            giving.add(node.name)
        else:
            continue
        reached |= set(node.output)
    return giving, behind


def nodes_of(model: onnx.ModelProto, layers: Sequence[str]) -> set[str]:
    """Names of the nodes of the layers whose names begin so; of other networks none.

    Raises:
        ModelError: the network is ours and has no such layer.
    """
    found: set[str] = set()
    names = {w.name for w in model.graph.initializer}
    for layer in layers:
        reads = {n.name for n in model.graph.node if any(i.startswith(layer) for i in n.input)}
        if not reads and any(name.startswith("trunk.stem.") for name in names):
            raise ModelError(describe("float_layers", layer, "the beginning of a layer's name"))
        found |= reads
    return found


def store_compactly(file: Path) -> None:
    """Rewrite a file with its exact fp16 weights in fp16 (`halves`)."""
    import onnx

    model = onnx.load(str(file))
    store_in_half(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))


def to_fp16(source: Path, file: Path) -> None:
    """Write the fp16 form of an fp32 file: float32 in and out.

    Bone lengths stay in float32, and so does what follows the maps.

    One cast stands where a tensor passes from one type to the other.
    (ONNX Runtime's own converter casts down and up again between two nodes that
    stay in float32, which would overflow the squares all the same.)
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(source))
    graph = model.graph
    full = bone_length_nodes(model) | readout_nodes(model)[1]
    weights = {w.name: w for w in graph.initializer if w.data_type == TensorProto.FLOAT}
    constants = {w.name for w in graph.initializer}
    wide = {i.name for i in graph.input}  # tensors that are float32
    wide.update(out for node in graph.node if node.name in full for out in node.output)
    nodes: list[onnx.NodeProto] = []
    casts: dict[tuple[str, int], str] = {}
    halves: set[str] = set()

    def converted(name: str, to: int) -> str:
        """The tensor as the type `to`, through a cast where it is of the other."""
        if (name in wide) == (to == TensorProto.FLOAT):
            return name
        if (name, to) not in casts:
            casts[name, to] = f"{name}_{'fp32' if to == TensorProto.FLOAT else 'fp16'}"
            nodes.append(helper.make_node("Cast", [name], [casts[name, to]], to=to))
        return casts[name, to]

    for node in graph.node:
        to = TensorProto.FLOAT if node.name in full else TensorProto.FLOAT16
        for i, name in enumerate(node.input):
            if not name or (node.op_type == "Resize" and i > 0):  # its scales are float32 always
                continue
            if name in weights:
                if to == TensorProto.FLOAT16:
                    halves.add(name)
                    node.input[i] = f"{name}_fp16"
            elif name not in constants:
                node.input[i] = converted(name, to)
        nodes.append(node)
    for output in graph.output:
        inner = f"{output.name}_fp16"
        for node in nodes:
            for names in (node.input, node.output):
                names[:] = [inner if name == output.name else name for name in names]
        nodes.append(helper.make_node("Cast", [inner], [output.name], to=TensorProto.FLOAT))
    for name in sorted(halves):
        half = numpy_helper.to_array(weights[name]).astype(np.float16)
        graph.initializer.append(numpy_helper.from_array(half, f"{name}_fp16"))
    used = {name for node in nodes for name in node.input}
    kept = [w for w in graph.initializer if w.name in used]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(file))


def to_int8(
    source: Path,
    file: Path,
    inputs: Callable[[], Iterable[np.ndarray]],
    *,
    calibration: str = "minmax",
    float_layers: Sequence[str] = (),
) -> None:
    """Write the int8 form of an fp32 file: quantise and dequantise nodes.

    Activations are uint8 with a zero point and biases int32, the one form that
    ONNX Runtime and OpenVINO compute in integers on a CPU (symmetric int8 runs
    slower than fp32 there).  Weights are symmetric, one scale a channel
    (`learning.quantised.channel_scales`).  What gives
    the maps, and what follows it, stays in float32: quantised, joints move five times
    as far; so do the first layers of our own networks (`_SENSITIVE`).  The TensorRT
    backend makes the activations symmetric when it builds (`inference.tensorrt.graph`),
    since its parser refuses anything else.

    Args:
        inputs: gives, each time it is called, prepared [1, 3, S, S] float32
            inputs whose activations set the ranges.
        calibration: "minmax", "percentile" (99.99 %) or "entropy".
        float_layers: beginnings of the names of the layers before the maps that stay in float32
            instead of those above; what is behind the maps stays so too.

    Raises:
        ModelError: calibration is unknown, there are no inputs, or no layer has such a name.
    """
    import onnx
    import torch
    from onnxruntime import quantization

    from vnect_ros.learning.quantised import requantise, weights_of

    if calibration not in CALIBRATIONS:
        raise ModelError(describe("calibration", calibration, ", ".join(CALIBRATIONS)))
    method = {
        "minmax": quantization.CalibrationMethod.MinMax,
        "percentile": quantization.CalibrationMethod.Percentile,
        "entropy": quantization.CalibrationMethod.Entropy,
    }[calibration]

    model = onnx.load(str(source))
    giving, behind = readout_nodes(model)
    chosen = nodes_of(model, float_layers) if float_layers else giving | nodes_of(model, _SENSITIVE)
    excluded = bone_length_nodes(model) | behind | chosen

    class Reader(quantization.CalibrationDataReader):
        """Feeds the calibration inputs one by one."""

        def __init__(self) -> None:
            self.count = 0
            self._inputs: Iterator[np.ndarray] = iter(inputs())

        def get_next(self) -> dict[str, np.ndarray] | None:
            prepared = next(self._inputs, None)
            if prepared is None:
                return None
            self.count += 1
            unknown = {GRAVITY: np.zeros((1, 3), np.float32)}
            return {IMAGE: prepared} | (unknown if len(model.graph.input) > 1 else {})

    reader = Reader()
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing we have done
    try:
        quantization.quantize_static(
            str(source), str(file), reader,
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=sorted(excluded),
            calibrate_method=method,
            extra_options={"WeightSymmetric": True, "CalibPercentile": 99.99},
        )  # fmt: skip
    except ValueError as error:
        if reader.count:
            raise
        raise ModelError(describe("calibration images", "none", "at least one")) from error
    finally:
        logging.getLogger().setLevel(level)
    quantised = onnx.load(str(file))
    requantise(quantised, {k: torch.tensor(v) for k, v in weights_of(model).items()})
    onnx.save(quantised, str(file))
