"""The machine code of one network: which parts and stages it runs, compiled or loaded when a use first needs them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.cores import usable_cores
from fastnn.formulas.activations import Activation
from fastnn.formulas.costs import Cost, output_unit
from fastnn.formulas.expressions import variable
from fastnn.formulas.optimizers import Rule
from fastnn.kernels.buffers import Code, Layer
from fastnn.kernels.host import lanes_of
from fastnn.kernels.records import Packed

Array = NDArray[Any]
_LAYER_FIELDS = {name: i for i, name in enumerate(Layer._fields)}

FORWARD = ("product", "activate", "by_rows")
MEASURE = ("unit",)
TRAINING = (*FORWARD, *MEASURE, "activate_sloped", "derivative", "update")
FORWARD_ACROSS = ("forward_across", "activate", "by_blocks")
TRAINING_ACROSS = (*FORWARD_ACROSS, *MEASURE, "activate_sloped", "backward_across", "update_across")
"""The same where samples lie across the registers."""


class Program:
    """Addresses of everything that a network's kernels call.

    Parameters
    ----------
    activations : tuple of Activation
        Of every layer, the output's last.
    cost : Cost
        The cost.
    sizes : tuple of int
        Layer sizes from inputs to outputs.
    dtype : numpy dtype
        float32 or float64.

    Attributes
    ----------
    code : Packed
        The ``Code`` record; 0 for what was not needed so far.
    softmax : bool
        Whether the outputs are one distribution.
    sloped : tuple of bool
        Which layers keep f'(Z) beside their outputs, because it is no function of those.
    cut : float
        Above what a single output says yes.
    unit_constants : array
        A number per output, in every lane; empty where the cost has none.
    """

    def __init__(
        self, activations: tuple[Activation, ...], cost: Cost, sizes: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        lanes = lanes_of(dtype.itemsize)  # first: it refuses what Numba cannot be imported with
        from numba import types

        self._activations = activations
        self._unit = output_unit(cost, activations[-1], sizes[-1])
        # Units in a register of a layer: all lanes, and what is left.
        self._counts = tuple(sorted({n for size in sizes[1:] for n in (min(size, lanes), size % lanes) if n}))
        self._kind = types.float32 if dtype == np.float32 else types.float64
        self.softmax = self._unit.softmax
        self.cut = 0.0 if cost.probability is not None else 0.5  # of margins, or of probabilities
        hidden = activations[:-1]
        self.sloped = *(a.expression is not None and a.output_derivative is None for a in hidden), False
        self.unit_constants = np.repeat(np.asarray(cost.units, dtype), lanes)
        self.code = Packed(Code(*[0] * len(Code._fields)))
        self._has: set[str] = set()
        self._rules: dict[Any, int] = {}

    def has(self, names: Iterable[str]) -> bool:
        """Whether the code of these names is there."""
        return self._has.issuperset(names)

    def require(self, names: Iterable[str], entry: str = "") -> None:
        """Have the code of these names, and of an entry; what another process compiles meanwhile comes last."""
        from fastnn.kernels import beside, epoch

        missing = [name for name in dict.fromkeys(names) if name not in self._has]
        stages = [stage for stage in map(self._stage, missing) if stage is not None]
        others = [epoch.PIECES[entry]] if entry else []
        elsewhere = beside.split([*stages, *others], self._kind) if usable_cores() > 1 else None
        if elsewhere is not None:
            missing.sort(key=lambda name: elsewhere.has(self._stage(name)))
        for name in missing:
            if elsewhere is not None and elsewhere.has(self._stage(name)):
                if entry:
                    self.entry(entry)
                elsewhere.wait(self._stage(name), self._kind)
            if name not in _LAYER_FIELDS:
                self.code.words[Code._fields.index(name)] = self._of_network(name)
            self._has.add(name)

    def _stage(self, name: str) -> Any:
        """The stage of that name, or None where a part has it."""
        from fastnn.kernels import epoch

        return epoch.PIECES.get("update_dense" if name == "update" else name)

    def _address(self, part: Any) -> int:
        from fastnn.kernels import parts

        return parts.address(part, self._kind)

    def _of_network(self, name: str) -> int:
        from fastnn.kernels import across, dropout, formula_parts, skipping, tiles

        if name == "unit":
            a = variable("a") if self.softmax else self._unit.output
            return self._address(formula_parts.unit_part(a, self._unit.cost, self._unit.slope))
        parts = {
            "product": tiles.PRODUCT,
            "listed_product": skipping.LISTED_PRODUCT,
            "forward_across": across.FORWARD_ACROSS,
            "drop_row": dropout.DROP_ROW,
        }
        if name in parts:
            return self._address(parts[name])
        address: int = self._stage(name).address(self._kind)
        return address

    def _of_layer(self, name: str, activation: Activation, sloped: bool) -> int:
        """Address of a part, 0 where there is nothing to do."""
        from fastnn.kernels.across import backward_across_part
        from fastnn.kernels.formula_parts import activation_part, derivative_part

        value, slope, by_output = activation.expression, activation.derivative, activation.output_derivative
        if value is None or slope is None:  # softmax, which is no layer's alone
            return 0
        if name in ("derivative", "backward_across"):
            make = derivative_part if name == "derivative" else backward_across_part
            return self._address(make(variable("a") if sloped or by_output is None else by_output))
        if name == "activate_sloped":
            return self._address(activation_part(value, slope)) if sloped else 0
        return 0 if value is variable("z") else self._address(activation_part(value))

    def fill(self, table: Array) -> None:
        """Write the addresses of the layers' parts, as far as they are wanted, into a table of ``Layer`` records."""
        wanted = self._has & _LAYER_FIELDS.keys()
        last = len(self._activations) - 1
        for i, activation in enumerate(self._activations):  # the rows behind the layers call nothing
            row = table[i]
            sloped = bool(row[_LAYER_FIELDS["slope"]] != row[_LAYER_FIELDS["output"]])
            for name in wanted if i < last else wanted & {"activate"}:  # nothing comes down to the outputs
                row[_LAYER_FIELDS[name]] = self._of_layer(name, activation, sloped)

    def step(self, kind: str, rule: "tuple[Rule, tuple[bool, bool, bool]] | None") -> int:
        """Address of a part that steps by an optimizer's rule, or that adds; the kinds are below."""
        from fastnn.kernels import steps

        if (kind, rule) not in self._rules:
            if rule is None:
                made = steps.ADD
            else:
                found, (l1, l2, clipped) = rule
                made = steps.Rule(found.expressions, found.states, found.numbers, l1, l2, clipped)
            makers: dict[str, Callable[[Any], Any]] = {
                "update": steps.update_part,
                "add": steps.update_part,
                "update_across": partial(steps.across_update_part, counts=self._counts),
                "add_across": partial(steps.across_update_part, counts=self._counts),
                "update_listed": steps.listed_update_part,
                "add_listed": steps.listed_update_part,
                "step": partial(steps.step_part, clears=False),
                "step_and_clear": partial(steps.step_part, clears=True),
                "step_and_tally": partial(steps.step_part, clears=True, tallies=True),
            }
            self._rules[kind, rule] = self._address(makers[kind](made))
        return self._rules[kind, rule]

    def entry(self, name: str) -> Callable[..., Any]:
        """An entry's machine code."""
        from fastnn.kernels import epoch

        code: Callable[..., Any] = epoch.PIECES[name].code(self._kind)
        return code
