"""Every check of what a user passes in. Each error names the argument, what came and what was expected."""

import datetime
import decimal
import difflib
import itertools
import math
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
UINT8 = np.dtype(np.uint8)
DTYPES = ("float32", "float64")
_MOST_THREADS = 1024  # more than any machine has cores, and few enough to start
TEXT_CURE = "; turn text into numbers, or into a column for every value, for example with pandas.get_dummies"
NUMBER_CURE = "; turn text into numbers, for example with pandas.to_numeric"
TIME_CURE = "; turn times into numbers, for example into days since the first"
MISSING_CURE = '; leave such samples out, or pass fastnn.Network(..., missing="mean")'
_MOST_WEIGHTS = 1 << 48  # of a layer: more than any memory holds, and few enough for NumPy to count their bytes
_BLOCK = 1 << 22  # elements looked at together, so that a check takes little memory
_ON_ONE_CORE = 8192  # elements of a product that OpenBLAS does not wake its threads for: they spin on beside training


class InputScale(NamedTuple):
    """What kernels do to data as they read them: ``x / divisor``, or column by column ``(x - shift) * factor``."""

    divisor: float = 1.0
    shift: Array | None = None  # (n_in,) of the network's dtype; None for a sparse matrix
    factor: Array | None = None  # the same; None where the divisor does


class Features(NamedTuple):
    """Samples. Dense: ``values`` (n, n_in), the rest empty. Sparse: CSR's values, column numbers and row starts."""

    values: Array
    indices: Array  # int32
    starts: Array  # (n + 1,) int64
    n: int
    scale: InputScale | None = None  # of bytes and of CSR's values; None: they are what the network sees


class Targets(NamedTuple):
    """What a network is to learn: labels or a matrix, the other one empty."""

    labels: Array  # (n,) int64
    matrix: Array  # (n, n_out) of the network's dtype
    classes: bool  # whether these are classes, so that accuracy means something


def check_name(argument: str, value: Any, choices: Iterable[str]) -> str:
    """``value`` if it is one of ``choices``; the error suggests the nearest."""
    known = list(choices)
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be one of {known}, got {type(value).__name__} {value!r}")
    if value not in known:
        same = [name for name in known if name.lower() == value.lower()]
        nearest = same or difflib.get_close_matches(value.lower(), known, n=1, cutoff=0.4)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"{argument} must be one of {known}, got {value!r}{hint}")
    return value


def check_number(
    argument: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
) -> float:
    """``value`` as a finite float within bounds."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{argument} must be a number, got {type(value).__name__} {value!r}")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    bounds = [
        (above is None or number > above, f"> {above}"),
        (at_least is None or number >= at_least, f">= {at_least}"),
        (below is None or number < below, f"< {below}"),
        (math.isfinite(number), "finite"),
    ]
    if not all(holds for holds, _ in bounds):
        wanted = [
            text for (_, text), bound in zip(bounds, (above, at_least, below, 0), strict=True) if bound is not None
        ]
        raise ValueError(f"{argument} must be {' and '.join(wanted)}, got {value!r}")
    return number


def check_whole(argument: str, value: Any, *, at_least: int | None = 1) -> int:
    """``value`` as a whole number of at least ``at_least``, or any."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{argument} must be a whole number, got {type(value).__name__} {value!r}")
    if at_least is not None and value < at_least:
        raise ValueError(f"{argument} must be >= {at_least}, got {value}")
    return int(value)


def check_limit(argument: str, value: Any) -> float:
    """A number above 0; infinite where there is none."""
    return float("inf") if value is None else check_number(argument, value, above=0)


def check_flag(argument: str, value: Any) -> bool:
    """``value`` as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{argument} must be True or False, got {type(value).__name__} {value!r}")
    return bool(value)


def _can_be_gone_through(values: Any) -> bool:
    """Whether this has elements; an array of no dimension only looks as if."""
    return isinstance(values, Iterable) and getattr(values, "ndim", 1) > 0


def check_counts(argument: str, values: Any, example: str) -> tuple[int, ...]:
    """Whole numbers of at least one."""
    if isinstance(values, str) or not _can_be_gone_through(values):
        raise TypeError(f"{argument} must be a list such as {example}, got {type(values).__name__} {values!r}")
    return tuple(check_whole(f"{argument}[{i}]", value) for i, value in enumerate(values))


def check_sizes(sizes: Any) -> tuple[int, ...]:
    """Layer sizes, from inputs to outputs."""
    result = check_counts("sizes", sizes, "[784, 30, 10]")
    if len(result) < 2:
        raise ValueError(
            f"sizes must hold at least the inputs and the outputs, such as [784, 30, 10], got {list(result)}"
        )
    for n_in, n_out in itertools.pairwise(result):
        if n_in * n_out > _MOST_WEIGHTS:
            raise ValueError(f"sizes must make at most {_MOST_WEIGHTS} weights in a layer, got {n_in} x {n_out}")
    return result


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """The network's dtype."""
    try:
        if dtype is None:
            raise TypeError  # NumPy takes it for float64
        result: np.dtype[Any] = np.dtype(dtype)
    except Exception:  # of a text NumPy may say that its syntax is wrong
        if isinstance(dtype, str):
            check_name("dtype", dtype, DTYPES)
        raise TypeError(f"dtype must be one of {list(DTYPES)}, got {dtype!r}") from None
    if result.name not in DTYPES:
        raise ValueError(f"dtype must be one of {list(DTYPES)}, got {result.name!r}")
    return np.dtype(result.name)  # in this machine's byte order


def shape_text(shape: Sequence[Any]) -> str:
    """A shape as it is written in messages."""
    return "(" + ", ".join(str(part) for part in shape) + ("," if len(shape) == 1 else "") + ")"


def check_numeric(argument: str, values: Any, missing: bool = False) -> Array:
    """``values`` as a real numeric array, not copied where it is one already.

    Numbers may come as objects. With ``missing``, None among them becomes NaN instead of being refused.
    """
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{argument} must be a dense array, got a sparse {type(values).__name__}: pass {argument}.toarray()"
        )
    if type(values) is not np.ndarray and isinstance(values, np.ndarray) and np.any(getattr(values, "mask", False)):
        raise TypeError(f"{argument} must not be masked, got a {type(values).__name__} with masked entries")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{argument} must be a rectangular array: {error}") from None
    if array.dtype.kind == "O" and array.ndim > 0:
        return numbers_of(argument, array, missing, place_text)
    if array.dtype.kind not in "fiub":
        got = f"dtype {array.dtype}" if array.ndim or hasattr(values, "dtype") else _shortened(values)
        cure = TIME_CURE if array.dtype.kind in "mM" else ""
        raise TypeError(f"{argument} must hold real numbers, got {got}{cure}")
    return array


def _shortened(value: Any) -> str:
    """Text and the like as they are, of anything else its kind."""
    return repr(value) if isinstance(value, (str, bytes, complex)) or value is None else type(value).__name__


def is_missing(value: Any) -> bool:
    """Whether this says that there is no value: None, or the mark of a library of frames."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def is_number(value: Any) -> bool:
    """Whether this is a real number of any library."""
    return isinstance(value, (numbers.Real, decimal.Decimal, np.bool_))


def numbers_of(argument: str, array: Array, missing: bool, describe: Callable[[tuple[int, ...]], str]) -> Array:
    """An array of objects, all of them numbers, in float64; ``describe`` puts the place of another one into words."""
    result = np.empty(array.shape)
    for place, value in np.ndenumerate(array):
        if is_number(value):
            result[place] = _as_float(value)
        elif missing and is_missing(value):
            result[place] = np.nan
        else:
            raise TypeError(f"{argument} must hold real numbers, got {value!r} {describe(place)}{_cure(value)}")
    return result


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf


def _cure(value: Any) -> str:
    if is_missing(value):
        return MISSING_CURE
    if _is_time(value):
        return TIME_CURE
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return TEXT_CURE
    return NUMBER_CURE


def _is_time(value: Any) -> bool:
    """Whether this is a date, a time, or a span of it, of Python or pandas."""
    return isinstance(value, (datetime.date, datetime.time, datetime.timedelta)) or type(value).__name__ == "Period"


def place_text(place: tuple[int, ...]) -> str:
    """Where in an array, by numbers."""
    return f"at [{', '.join(str(int(i)) for i in place)}]"


def _all_finite(block: Array) -> bool:
    """Whether a flat array holds neither NaN nor infinity."""
    # A sum is finite only if every element is. It is much faster than asking each, and neither of these warns.
    if block.dtype.itemsize in (4, 8):
        total = np.vdot(block, block) if block.size <= _ON_ONE_CORE else np.einsum("i->", block)
        if math.isfinite(total):
            return True
    return bool(np.isfinite(block).all())


def check_finite(
    argument: str, array: Array, describe: Callable[[tuple[int, ...]], str] = place_text, missing: bool = False
) -> None:
    """Refuse infinity and, unless they are ``missing`` values, NaN; ``describe`` puts the first place into words."""
    if array.dtype.kind != "f" or array.size == 0:
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat if flat.size <= _BLOCK else flat[start : start + _BLOCK]  # a prediction's few microseconds count
        if _all_finite(block):
            continue
        good = np.isfinite(block) | (missing & np.isnan(block))
        if not good.all():
            place = tuple(map(int, np.unravel_index(start + int(np.argmin(good)), array.shape)))
            raise ValueError(f"{argument} must be finite, got {array[place]} {describe(place)}")


def cast(argument: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """``array`` contiguous in ``dtype`` and finite, also after the cast."""
    if array.dtype == dtype:
        result = np.ascontiguousarray(array)
        check_finite(argument, result)
        return result
    with np.errstate(all="ignore"):  # whatever the user has set: what matters is looked at here
        result = np.ascontiguousarray(array, dtype=dtype)
    try:
        check_finite(argument, result)
    except ValueError:
        check_finite(argument, array)  # the user's own numbers make the clearer message
        raise ValueError(f"{argument} must fit into {dtype.name}, but holds numbers beyond its range") from None
    return result


def check_parameter(argument: str, values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A layer's weights or biases."""
    array = check_numeric(argument, values)
    if array.shape != shape:
        raise ValueError(f"{argument} must have shape {shape_text(shape)}, got {shape_text(array.shape)}")
    return cast(argument, array, dtype)


def check_layers(argument: str, values: Any, shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]) -> list[Array]:
    """All layers' weights, or all layers' biases."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{argument} must be a list of arrays, one per layer, got {type(values).__name__}")
    layers = list(values)
    if len(layers) != len(shapes):
        raise ValueError(f"{argument} must hold one array per layer: expected {len(shapes)}, got {len(layers)}")
    return [
        check_parameter(f"{argument}[{i}]", layer, shape, dtype)
        for i, (layer, shape) in enumerate(zip(layers, shapes, strict=True))
    ]


def check_column(argument: str, values: Any, n: int) -> Array:
    """One sample's n numbers, from a column (n, 1) or flat; a single one also from itself."""
    array = check_numeric(argument, values)
    if array.shape not in ((n, 1), (n,)) and not (n == 1 and array.ndim == 0):
        raise ValueError(f"{argument} must have shape ({n}, 1) or ({n},), got {shape_text(array.shape)}")
    return array.reshape(n)


def check_target_column(argument: str, values: Any, n: int) -> Array:
    """One sample's n targets, from a column, flat, or the label of a class, which stands for its unit vector."""
    array = check_numeric(argument, values)
    if n == 1 or array.size != 1:
        return check_column(argument, array.reshape(1) if array.ndim == 0 else array, n)
    label = array.item()
    if label not in range(n):
        raise ValueError(f"{argument} must be a label from 0 to {n - 1} or have shape ({n}, 1) or ({n},), got {label}")
    unit = np.zeros(n)
    unit[int(label)] = 1.0
    return unit


def check_columns(argument: str, values: Any, n: int) -> Array:
    """Columns (n, m) in float64, finite; a flat array (n,) is one of them."""
    array = check_numeric(argument, values)
    if array.ndim not in (1, 2) or array.shape[0] != n or array.size == 0:
        raise ValueError(f"{argument} must have shape ({n}, 1), ({n},) or ({n}, m), got {shape_text(array.shape)}")
    return cast(argument, array.reshape(n, -1), np.dtype(np.float64))


def check_pairs(argument: str, pairs: Any, n_in: int, n_out: int) -> tuple[Array, Array]:
    """X (n, n_in) and Y (n, n_out) in float64 from any iterable of pairs of columns."""
    if not isinstance(pairs, Iterable):
        raise TypeError(f"{argument} must be a list, or another iterable, of pairs (x, y), got {type(pairs).__name__}")
    known = list(pairs)
    if not known:
        raise ValueError(
            f"{argument} must hold at least one pair (x, y), got none; a zip or generator can be gone through only once"
        )
    items = [
        item if type(item) is tuple and len(item) == 2 else _check_pair(f"{argument}[{i}]", item)
        for i, item in enumerate(known)
    ]
    X, Y = _stacked([x for x, _ in items], n_in), _stacked([y for _, y in items], n_out)
    if X is None:
        X = np.empty((len(known), n_in))
        for i, (x, _) in enumerate(items):
            X[i] = check_column(f"{argument}[{i}][0]", x, n_in)
    if Y is None:
        Y = np.empty((len(known), n_out))
        for i, (_, y) in enumerate(items):
            Y[i] = check_target_column(f"{argument}[{i}][1]", y, n_out)
    check_finite(f"the x of {argument}", X)
    check_finite(f"the y of {argument}", Y)
    return X, Y


def _check_pair(argument: str, item: Any) -> tuple[Any, Any]:
    """Any item of two elements."""
    if isinstance(item, np.ndarray) and item.ndim > 0 and len(item) == 2:
        return item[0], item[1]
    return check_two(argument, item, "(x, y)")


def _stacked(columns: list[Any], n: int) -> Array | None:
    """Columns (n, 1) or flat as rows in float64, if they are arrays of numbers and of one shape; else None."""
    if set(map(type, columns)) != {np.ndarray} or {column.shape for column in columns} not in ({(n, 1)}, {(n,)}):
        return None
    stacked = np.concatenate(columns)
    return stacked.reshape(-1, n).astype(np.float64, copy=False) if stacked.dtype.kind in "fiub" else None


def check_matrix(argument: str, values: Any, n: int | None = None) -> Array:
    """A matrix of at least one number in float64, with n rows."""
    array = check_numeric(argument, values)
    if array.ndim != 2 or array.size == 0 or (n is not None and len(array) != n):
        rows = "n" if n is None else n
        raise ValueError(f"{argument} must have shape ({rows}, m) and not be empty, got {shape_text(array.shape)}")
    return cast(argument, array, np.dtype(np.float64))


def check_two(argument: str, values: Any, expected: str) -> tuple[Any, Any]:
    """A pair."""
    if not isinstance(values, (tuple, list)) or len(values) != 2:
        raise TypeError(f"{argument} must be a pair {expected}, got {type(values).__name__}")
    return values[0], values[1]


def check_held_out(argument: str, values: Any) -> tuple[Any, Any, Any]:
    """X, y and the weights of validation data, None where there are none."""
    if not isinstance(values, (tuple, list)) or len(values) not in (2, 3):
        raise TypeError(f"{argument} must be a pair (X, y), or (X, y, sample_weight), got {type(values).__name__}")
    X, y, *weights = values
    return X, y, weights[0] if weights else None


def check_shuffle(
    shuffle: Any, random: Callable[[int], Array], natural: Callable[[int], Array]
) -> Callable[[int], Array]:
    """What gives an epoch's order of n samples; ``random`` stands for True, ``natural`` for False."""
    if callable(shuffle):
        return lambda n: check_order(shuffle(n), n)
    if not isinstance(shuffle, (bool, np.bool_)):
        raise TypeError(f"shuffle must be True, False or a function, got {type(shuffle).__name__} {shuffle!r}")
    return random if shuffle else natural


def check_order(order: Any, n: int) -> Array:
    """Every sample's number once, in an array that is nobody else's."""
    array = check_numeric("shuffle's result", order)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise ValueError(f"shuffle must return ({n},) whole numbers, got {array.dtype} {shape_text(array.shape)}")
    if array.min() < 0 or array.max() >= n or np.bincount(array.astype(np.int64), minlength=n).max() > 1:
        raise ValueError(f"shuffle must return every number from 0 to {n - 1} once")
    return np.array(array, np.int64)


def check_given(arguments: dict[str, Any]) -> None:
    """Refuse the absence of data."""
    for name, value in arguments.items():
        if value is None:
            raise TypeError(f"{name} must hold real numbers, got None; data in pieces are passed as stream")


def check_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """Callables, in a sequence."""
    if callable(callbacks) or not _can_be_gone_through(callbacks):
        raise TypeError(
            f"callbacks must be a list of callables, such as callbacks=[callback], got {type(callbacks).__name__}"
        )
    result = tuple(callbacks)
    for i, callback in enumerate(result):
        if not callable(callback):
            raise TypeError(f"callbacks[{i}] must be callable, got {type(callback).__name__}")
        if isinstance(callback, type):
            name = callback.__name__
            raise TypeError(f"callbacks[{i}] must be an object, such as {name}(), got the class {name} itself")
    return result


def check_verdict(number: int, verdict: Any) -> bool:
    """What a callback returned: whether training is to stop; None for no."""
    if verdict is None or isinstance(verdict, (bool, np.bool_)):
        return bool(verdict)
    shown = repr(verdict)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    raise TypeError(f"callbacks[{number}] must return True, False or None, got {type(verdict).__name__} {shown}")


def check_threads(threads: Any) -> int:
    """How many threads work on one network; 0 stands for "auto"."""
    if isinstance(threads, str):
        check_name("threads", threads, ["auto"])
        return 0
    count = check_whole("threads", threads)
    if count > _MOST_THREADS:
        raise ValueError(f"threads must be <= {_MOST_THREADS}, got {count}")
    return count


def check_batch_size(batch_size: Any, n: int) -> tuple[tuple[int, int], ...]:
    """Batch sizes as (size, samples): so many samples in batches of that size, then the next; the sizes sum to n."""
    if (
        isinstance(batch_size, (str, bytes))
        or not isinstance(batch_size, (Sequence, np.ndarray))
        or not np.ndim(batch_size)
    ):
        return ((min(check_whole("batch_size", batch_size), n), n),)
    sizes = [check_whole(f"batch_size[{i}]", size) for i, size in enumerate(batch_size)]
    if sum(sizes) != n:
        raise ValueError(
            f"batch_size must be one number, or sizes that sum to the {n} samples, got a sum of {sum(sizes)}"
        )
    return tuple((size, sum(run)) for size, run in itertools.groupby(sizes))


def check_batches(batch_size: Any, drop_last: Any, n: int) -> tuple[tuple[int, int], ...]:
    """The same, without the samples of a smaller last batch where that is to be dropped."""
    sizes = check_batch_size(batch_size, n)
    if not check_flag("drop_last", drop_last):
        return sizes
    if np.ndim(batch_size):
        raise ValueError("drop_last does not go with a list of batch sizes, which says what every batch holds")
    ((size, _),) = sizes
    return ((size, n - n % size),)
