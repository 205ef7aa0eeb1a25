"""Data that come in pieces: while one is trained on, a thread reads and converts the next.

- `Chunks`: what a user's ``stream`` hands out, of any kind that ``fit`` takes.
- `HeldOut`: the same to validate on, again and again.
- `Blocks`: rows of an array in a file that are not in the network's dtype, or not at its scale.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from queue import Empty, SimpleQueue
from types import NoneType
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastnn import layout, validation
from fastnn.formulas.schedules import Constant, ReduceOnPlateau, Schedule
from fastnn.inputs import features, weights
from fastnn.inputs.reader import Batch, Reader
from fastnn.inputs.tables import check_order, count_samples, is_stored
from fastnn.interrupts import held
from fastnn.validation import Features, Targets

Array = NDArray[Any]

_WAIT = 0.05  # seconds between two looks at the clock while a piece is waited for
_PATIENCE = 0.2  # seconds that a reader has to come to its end; where it takes longer, nobody waits
_LARGE_MAP = 64 << 20  # bytes of the network's numbers: an array in a file that would take more goes by blocks
_FEW, _MANY, _GLIMPSE = 256, 4096, 1 << 22  # samples that are looked at before training, and their numbers at most
_HELD_OUT = "validation_data"
_PAIR = "(X, y), or (X, y, sample_weight)"


class _Failure(NamedTuple):
    """What went wrong in the other thread."""

    error: BaseException


class _Pass:
    """One pass over pieces of data, made in a thread of its own, at most one ahead of who takes them.

    Two queues and no lock of Python's own: an interrupt tears neither.
    """

    def __init__(self, make: Callable[[], Generator[Batch, None, None]]) -> None:
        self._made: SimpleQueue[Batch | _Failure | None] = SimpleQueue()  # None: there are no more
        self._wanted: SimpleQueue[bool] = SimpleQueue()  # whether to make another one
        self._thread = threading.Thread(target=self._work, args=(make,), name="fastnn-stream", daemon=True)

    def start(self) -> None:
        """Begin; whoever does so knows this object by then, and can close it whatever comes."""
        with held():  # the standard library's own locks are not made for interrupts
            self._thread.start()

    def _work(self, make: Callable[[], Generator[Batch, None, None]]) -> None:
        wanted = True
        try:
            with closing(make()) as pieces:
                for piece in pieces:
                    self._made.put(piece)
                    del piece  # or it would be in memory as long as the next one is made
                    wanted = self._wanted.get()
                    if not wanted:
                        return
            self._made.put(None)
        except BaseException as error:
            if not wanted:
                raise  # nobody takes it any more: Python prints it
            self._made.put(_Failure(error))

    def take(self, between: Callable[[], None]) -> Batch | None:
        """The next piece, None after the last; ``between`` is called again and again while there is none yet."""
        while True:
            try:
                made = self._made.get(timeout=_WAIT)
                break
            except Empty:
                between()
        if isinstance(made, _Failure):
            raise made.error
        self._wanted.put(True)
        return made

    def close(self) -> None:
        """Have what is read closed, at once or when it comes back from what it is at."""
        self._wanted.put(False)
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)


class Source:
    """Data in pieces, pass after pass. What it is entered for closes what is read.

    Attributes
    ----------
    reader : Reader
        How the pieces are read.
    sizes : tuple of int or None
        The samples in every piece, where they are known beforehand.
    mean_is_one : bool
        Whether the weights of all samples have a mean of 1; of class.
    notice : str
        What to warn of, found in the thread that reads; whoever takes pieces does so, and empties it.
    """

    sizes: tuple[int, ...] | None
    mean_is_one: ClassVar[bool] = False

    def __init__(self, reader: Reader) -> None:
        self.reader, self.notice = reader, ""
        self._pass: _Pass | None = None

    def _start(self, make: Callable[[], Generator[Batch, None, None]]) -> None:
        self._pass = _Pass(make)
        self._pass.start()

    def glimpse(self) -> Batch:
        """Some samples to plan by."""
        raise NotImplementedError

    def begin(self, order: Callable[[int], NDArray[np.int64]]) -> None:
        """Begin a pass; ``order`` puts pieces in their order where that can be chosen."""
        raise NotImplementedError

    def take(self, between: Callable[[], None]) -> Batch | None:
        """The next piece, None after the last; ``between`` is called while it is waited for."""
        assert self._pass is not None
        return self._pass.take(between)

    def close(self) -> None:
        """End the pass."""
        if self._pass is not None:
            self._pass.close()
            self._pass = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Pieces(Source):
    """Data in pieces whose answers are in memory, for what goes through them from the first sample to the last.

    Attributes
    ----------
    n : int
        Samples, without those that weigh nothing.
    classify : bool
        Whether they are classes.
    answers : Batch
        Their targets and weights.
    """

    n: int
    classify: bool
    answers: Batch

    def batches(self, between: Callable[[], None]) -> Iterator[Batch]:
        """The pieces one after the other; ``between`` is called while one is waited for."""
        raise NotImplementedError


def _spread(rows: Array, n_in: int) -> Array:
    """Some of these rows, from the first to the last."""
    most = max(_FEW, min(_MANY, _GLIMPSE // n_in))
    return rows[:: -(-len(rows) // most)]


def _some(batch: Batch, rows: Array) -> Batch:
    """Some samples, as copies."""
    X, targets, weight = batch
    own = None if weight is None else weight[rows]
    return Batch(weights.take_features(X, rows), weights.take_targets(targets, rows), own)


class _Constants:
    """Columns that a learned scale takes for constant, so that they count for nothing.

    Parameters
    ----------
    reader : Reader
        Settled.
    first : array or CSR matrix
        The first chunk, as it came. Of a sparse one those columns are looked at that its first row has no number in:
        the few others that are constant are never zero.
    sample_weight : array-like or None
        Its weights, checked.
    """

    def __init__(self, reader: Reader, first: Any, sample_weight: Any) -> None:
        assert reader.scaling is not None
        self._reader = reader
        constant = np.isinf(reader.scaling.unit)
        if hasattr(first, "tocsr"):
            constant[first[_weighing(sample_weight)][:1].indices] = False
        self._columns = np.flatnonzero(constant)
        self._values = reader.scaling.shift[self._columns]

    def other(self, values: Any, sample_weight: Any) -> str:
        """What to say of the first one that is not constant in samples that weigh something; nothing if all are."""
        if not self._columns.size:
            return ""
        found = (self._in_sparse if hasattr(values, "tocsr") else self._in_dense)(values, _weighing(sample_weight))
        if found is None:
            return ""
        (column, known, value), names = found, self._reader.names
        self._columns = self._columns[:0]  # once is enough
        return (
            f"column {column if names is None else repr(names[column])} of X was {known:g} in all samples that "
            f"scale={self._reader.wishes.scale!r} was learned from, the first chunk of a stream, so that it counts as "
            f"0 for ever, but a later chunk holds {value:g} there: let the first chunk be larger, or the samples come "
            "mixed, or pass a number as scale"
        )

    def _in_dense(self, values: Array, rows: Any) -> tuple[int, float, float] | None:
        """A column, what it was, and another value in it."""
        block = values[:, self._columns][rows]
        differs = (block != self._values) & ~np.isnan(block)  # what is missing is no other value
        if not differs.any():
            return None
        row, k = np.unravel_index(int(differs.argmax()), differs.shape)
        return int(self._columns[k]), float(self._values[k]), float(block[row, k])

    def _in_sparse(self, matrix: Any, rows: Any) -> tuple[int, float, float] | None:
        part = matrix if isinstance(rows, slice) else matrix[rows]  # which would be a copy of all
        columns, numbers = part.indices[: part.indptr[-1]], part.data[: part.indptr[-1]]
        constant = np.zeros(part.shape[1], bool)
        constant[self._columns] = True
        places = np.flatnonzero(constant[columns] & (numbers != 0))
        return (int(columns[places[0]]), 0.0, float(numbers[places[0]])) if places.size else None


def _weighing(sample_weight: Any) -> Any:
    """Which rows weigh something, by checked weights."""
    return slice(None) if sample_weight is None else np.asarray(sample_weight) > 0


# --- what users hand out ---


class Chunks(Source):
    """A user's stream.

    Parameters
    ----------
    stream : callable or iterable
        What was passed in.
    epochs : int
        How often it will be gone through.
    reader : Reader
        What the network knows of its data.
    class_weight : mapping or None
        Weights of classes.
    """

    def __init__(self, stream: Any, epochs: Any, reader: Reader, class_weight: Any) -> None:
        super().__init__(reader)
        self._stream, self._class_weight = _check_stream(stream, epochs), _check_class_weight(class_weight)
        self.sizes = _check_sizes(getattr(stream, "chunk_sizes", None))
        self._first: Batch | None = None  # of a pass that has begun
        self._unit: float | None = None  # what weights are divided by
        self._sparse: bool | None = None
        self._constants: _Constants | None = None  # before the first chunk that weighs something
        self._passes = 0
        self._read_so_far = 0  # samples in the pass at hand

    def glimpse(self) -> Batch:
        """Some samples of the first chunk, by which the reader is settled; the first pass goes on with it."""
        self._begin()
        self._first = super().take(lambda: None)
        assert self._first is not None
        return _some(self._first, _spread(np.arange(self._first.X.n), self.reader.n_in))

    def begin(self, order: Callable[[int], NDArray[np.int64]]) -> None:
        """Begin a pass, or go on with the one that was opened."""
        if self._first is None:
            self._begin()

    def _begin(self) -> None:
        self.close()
        self._passes += 1
        self._start(self._pieces)

    def take(self, between: Callable[[], None]) -> Batch | None:
        """The next piece."""
        if self._first is None:
            return super().take(between)
        first, self._first = self._first, None
        return first

    def _pieces(self) -> Generator[Batch, None, None]:
        self._read_so_far = 0
        yield from _gone_through("stream", self._stream, self._read, self._passes)

    def _read(self, X: Any, y: Any, sample_weight: Any) -> Batch | None:
        """A chunk as the network takes it, without samples that weigh nothing; None if all of them do."""
        if _weighs_nothing(X, sample_weight):  # nothing can be learned from it, not even a scale
            self._count(count_samples("X", X))
            return None
        check_order(X, {"y": y, "sample_weight": sample_weight})
        learns = self.reader.learns_target_scale
        reader = self.reader = self.reader.settled(X, y, sample_weight)
        samples, targets, _ = reader.answered(self._features(X, sample_weight), y)
        assert reader.task is not None
        self._count(samples.n)
        raw = weights.of_part(sample_weight, self._class_weight, reader.task, targets, samples.n)
        self._check_kind(X, samples)
        if raw is not None and not raw.any():
            return None
        # The generator goes on while this is trained on, and may fill the same arrays anew.
        samples = samples._replace(values=_owned(samples.values, X))
        targets = targets._replace(matrix=_owned(targets.matrix, y))
        if raw is None and self._unit in (None, 1.0):
            self._unit = 1.0
            _check_told(learns, reader, targets)
            return Batch(samples, targets, None)
        raw = np.ones(samples.n) if raw is None else raw
        samples, targets, _ = weights.without_weightless(samples, targets, raw)
        _check_told(learns, reader, targets)
        raw = raw[raw > 0]
        if self._unit is None:
            self._unit = float(raw[0] / weights.with_mean_one(raw)[0])
        return Batch(samples, targets, validation.cast("sample_weight", raw / self._unit, reader.outputs.dtype))

    def _features(self, X: Any, sample_weight: Any) -> Features:
        """A chunk's samples, scaled; noticed where one of them tells that a learned scale is wrong."""
        table = self.reader.table("X", X)
        samples = self.reader.converted("X", table)
        if self._constants is None:
            self._constants = _Constants(self.reader, table.values, sample_weight)
        if notice := self._constants.other(table.values, sample_weight):
            self.notice = notice
        return samples

    def _count(self, n: int) -> None:
        """Refuse more samples than a schedule was told to be planned for."""
        self._read_so_far += n
        if self.sizes is not None and self._read_so_far > sum(self.sizes):
            raise ValueError(
                f"with its {n} samples the stream has {self._read_so_far} in a pass, but its chunk_sizes say "
                f"{sum(self.sizes)} in all"
            )

    def _check_kind(self, X: Any, samples: Features) -> None:
        """Refuse what the way through the first layer, which was planned for the first chunk, is not made for."""
        sparse = samples.starts.size > 0
        if self._sparse is None:
            self._sparse = sparse
        if sparse != self._sparse:
            words = "dense", "sparse"
            raise TypeError(
                f"X must be {words[self._sparse]}, as in the first chunk, got a {words[sparse]} {type(X).__name__}"
            )


def _weighs_nothing(X: Any, sample_weight: Any) -> bool:
    """Whether a chunk's own weights are all zero."""
    if sample_weight is None:
        return False
    own = weights.check_as_they_are(sample_weight, count_samples("X", X))
    return bool(own.size) and not own.any()


def _check_told(learns: bool, reader: Reader, targets: Targets) -> None:
    """Refuse to learn a scale of targets from a chunk where a column of them is constant.

    A constant column has no unit, and all later chunks would be taken in whatever unit stood for it.
    """
    constant = np.ptp(targets.matrix, axis=0) == 0 if learns else np.zeros(1, bool)
    if constant.any():
        column = int(constant.argmax())
        value = reader.in_units_of_y(targets.matrix[:1])[0, column]
        where = "" if constant.size == 1 else f" in column {column}"
        raise ValueError(
            f"target_scale={reader.wishes.target_scale!r} is learned from the first chunk that weighs something, whose "
            f"y is {value:g} in all {len(targets.matrix)} samples{where}, which tells no unit: let the samples come "
            "mixed, or in larger chunks, or pass a number as target_scale"
        )


def _owned(array: Array, given: Any) -> Array:
    """The array, or a copy where its memory may be somebody else's."""
    return array if array.flags.owndata and array is not given else array.copy()


class HeldOut(Pieces):
    """A stream to validate on. It is gone through once at the beginning; the answers are kept.

    Parameters
    ----------
    stream : callable or iterable
        What was passed in, see ``is_stream``.
    reader : Reader
        Settled.
    """

    def __init__(self, stream: Any, reader: Reader) -> None:
        super().__init__(reader)
        if isinstance(stream, Iterator):
            raise ValueError(
                f"{_HELD_OUT} must be a function that makes a new iterator for every epoch, or a stream that can be "
                f"gone through again, got a {type(stream).__name__}, which can be gone through only once"
            )
        self._stream, self._passes = stream, 1
        parts = [batch[1:] for batch in _gone_through(_HELD_OUT, stream, self._read, self._passes)]
        targets = [part for part, _ in parts]
        if len({part.labels.size > 0 for part in targets}) > 1:
            raise ValueError(f"{_HELD_OUT} must have y of one shape in all its chunks, got labels and rows of targets")
        labels, matrix = (np.concatenate([getattr(t, name) for t in targets]) for name in ("labels", "matrix"))
        self.n, self.classify = max(len(labels), len(matrix)), targets[0].classes
        weight = None
        if any(raw is not None for _, raw in parts):
            raws = [np.ones(max(len(t.labels), len(t.matrix))) if raw is None else raw for t, raw in parts]
            weight = weights.with_mean_one(np.concatenate(raws)).astype(reader.outputs.dtype)
        nothing = Features(np.empty(0), np.empty(0, np.int32), np.empty(0, np.int64), self.n)
        self.answers = Batch(nothing, Targets(labels, matrix, self.classify), weight)

    def _read(self, X: Any, y: Any, sample_weight: Any) -> Batch | None:
        """Samples that weigh something, with their weights as they are; None if there are none."""
        if _weighs_nothing(X, sample_weight):
            return None
        check_order(X, {"y": y, "sample_weight": sample_weight})
        samples, targets, _ = self.reader.read(X, y)
        assert self.reader.task is not None
        raw = weights.of_part(sample_weight, None, self.reader.task, targets, samples.n)
        # The generator goes on while this is measured, and may fill the same arrays anew.
        samples = samples._replace(values=_owned(samples.values, X))
        targets = targets._replace(matrix=_owned(targets.matrix, y))
        samples, targets, _ = weights.without_weightless(samples, targets, raw)
        return Batch(samples, targets, None if raw is None else raw[raw > 0])

    def batches(self, between: Callable[[], None]) -> Iterator[Batch]:
        """The chunks one after the other, read in another thread."""
        self.close()
        self._passes += 1
        self._start(self._pieces)
        try:
            while (piece := self.take(between)) is not None:
                yield piece
        finally:
            self.close()

    def _pieces(self) -> Generator[Batch, None, None]:
        """A pass, with the weights that the samples have among all; other samples than in the first are refused."""
        done, (_, known, weight) = 0, self.answers
        for samples, targets, _ in _gone_through(_HELD_OUT, self._stream, self._read, self._passes):
            places = slice(done, done + samples.n)
            if not _are_same(targets, weights.take_targets(known, places)):
                raise _other_samples()
            done += samples.n
            yield Batch(samples, targets, None if weight is None else weight[places])
        if done < self.n:
            raise _other_samples()


def _are_same(targets: Targets, others: Targets) -> bool:
    return np.array_equal(targets.labels, others.labels) and np.array_equal(targets.matrix, others.matrix)


def _other_samples() -> ValueError:
    return ValueError(f"{_HELD_OUT} must hold the same samples in the same order in every epoch, got other answers")


def is_stream(values: Any) -> bool:
    """Whether validation data are chunks: a function or an iterable, but no pair and no table."""
    if isinstance(values, (tuple, list, str, bytes, Mapping)) or hasattr(values, "shape"):
        return False
    return callable(values) or isinstance(values, Iterable)


def _nothing(argument: str, passes: int) -> ValueError:
    return ValueError(
        f"{argument} must have at least one chunk {_PAIR}, got none in epoch {passes}; what can be gone "
        "through only once must be made anew for every epoch: pass the function that makes it"
    )


def _gone_through(
    argument: str, stream: Any, read: Callable[[Any, Any, Any], Batch | None], passes: int
) -> Generator[Batch, None, None]:
    """What ``read`` makes of every chunk, but of those it leaves out; at least one must be left in every pass.

    Errors name the chunk.
    """
    chunks, number, left = _iterator(argument, stream), 0, 0
    # A loop that ends early leaves a generator to be closed some time; here it may hold files open.
    with closing(chunks) if isinstance(chunks, Generator) else nullcontext():
        for chunk in chunks:
            try:
                piece = read(*validation.check_held_out("it", chunk))
            except (ValueError, TypeError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"chunk {number} of {argument}: {error}") from None
            del chunk
            number += 1
            if piece is not None:
                left += 1
                yield piece
            del piece
    if not number:
        raise _nothing(argument, passes)
    if not left:
        raise ValueError(f"the weights of all chunks of {argument} must not be all zero, as they are in epoch {passes}")


def _iterator(argument: str, stream: Any) -> Iterator[Any]:
    given = stream if isinstance(stream, Iterable) else stream()
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument} must return an iterable of chunks {_PAIR}, got {type(given).__name__}")
    return iter(given)


def _check_stream(stream: Any, epochs: Any) -> Any:
    """Something that can be gone through as often as it is wanted."""
    if isinstance(stream, (str, bytes)) or not (callable(stream) or isinstance(stream, Iterable)):
        raise TypeError(
            f"stream must be a function that makes an iterable of chunks {_PAIR}, or such an iterable, got "
            f"{type(stream).__name__}"
        )
    if validation.check_whole("epochs", epochs, at_least=0) > 1 and isinstance(stream, Iterator):
        raise ValueError(
            f"stream must be a function that makes a new iterator for each of the {epochs} epochs, or a list or the "
            f"like, got a {type(stream).__name__}, which can be gone through only once"
        )
    return stream


def _check_class_weight(class_weight: Any) -> Any:
    if class_weight is not None and not isinstance(class_weight, Mapping):
        weights.check_class_weight(class_weight)
        raise ValueError(
            "class_weight must be a mapping where the data are a stream, whose classes cannot be counted beforehand, "
            f"got {class_weight!r}"
        )
    return class_weight


def _check_sizes(sizes: Any) -> tuple[int, ...] | None:
    return None if sizes is None else validation.check_counts("stream.chunk_sizes", sizes, "[65536, 65536, 100]")


def check_alone(given: Mapping[str, Any]) -> None:
    """Refuse what a stream stands for, or cannot give."""
    reasons = {
        "X": "whose chunks hold it",
        "y": "whose chunks hold it",
        "sample_weight": "whose chunks (X, y, sample_weight) may hold it",
        "validation_split": "of which nothing can be held out: pass validation_data",
    }
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} does not go with stream, {reasons[name]}")


def check_plan(chunks: Chunks, batch_size: Any, method: Any, schedule: Schedule | None) -> None:
    """Refuse what needs to know all the samples, or how many there are."""
    if np.ndim(batch_size):
        raise ValueError("batch_size must be one number where the data are a stream, got a list")
    if method.full_batch:
        raise ValueError(f"optimizer {method.name!r} needs all samples in one batch, which a stream does not give")
    if chunks.sizes is None and not isinstance(schedule, (NoneType, Constant, ReduceOnPlateau)):
        raise ValueError(
            f"schedule {schedule!r} needs the number of steps, which this stream does not tell: give it an attribute "
            "chunk_sizes with the number of samples in every chunk, or pass schedule='plateau', or a callback that "
            "sets network.learning_rate"
        )


# --- arrays in files ---


def _is_mapped(array: Any) -> bool:
    """Whether an array's numbers are in a file."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def goes_by_blocks(X: Any, reader: Reader) -> bool:
    """Whether X is an array in a file that would fill memory if it were converted, or read, as a whole."""
    scaling, dtype, stored = reader.scaling, reader.outputs.dtype, is_stored(X)
    if not (stored or (isinstance(X, np.ndarray) and X.ndim == 2)) or scaling is None:
        return False
    if X.shape[0] * reader.n_in * dtype.itemsize <= _LARGE_MAP:
        return False
    if stored:
        return True
    return X.dtype.kind in "fiub" and _is_mapped(X) and not features.are_used_in_place(X, scaling, dtype)


class Rows:
    """Blocks of rows of an array, read as samples one after the other.

    Parameters
    ----------
    reader : Reader
        Its scaling is known.
    X : array (n, n_columns), or what is stored
        Of any numeric dtype.
    multiple : int
        A block holds a multiple of so many rows.
    """

    def __init__(self, reader: Reader, X: Any, multiple: int) -> None:
        self.reader = reader
        self._X = reader.table("X", X, in_place=True).values
        self.n = len(self._X)
        self.size = max(1, layout.rows_in_block(reader.n_in, reader.outputs.dtype) // multiple) * multiple

    def __iter__(self) -> Iterator[Features]:
        """All of them."""
        for first in range(0, self.n, self.size):
            yield self.take(slice(first, first + self.size))

    def check(self) -> None:
        """Refuse what cannot be used, before it is."""
        if self._X.dtype.kind == "f":  # any other number is finite, and fits
            for _ in self:
                pass

    def take(self, rows: slice | Array) -> Features:
        """Some rows; errors name them by their numbers among all."""
        assert self.reader.scaling is not None
        block, numbers = self._X[rows], range(self.n)[rows] if isinstance(rows, slice) else rows
        features.check_values("X", block, None, self.reader.scaling.fills, numbers)
        return self.reader.features("X", block)


class Blocks(Pieces):
    """An array in a file, converted block by block; what belongs to it is in memory.

    Parameters
    ----------
    rows : Rows
        Of a settled reader.
    y, sample_weight, class_weight
        As for ``Reader.read``.

    Attributes
    ----------
    answers : Batch
        In place of the samples the numbers of their rows.
    """

    sizes: tuple[int, ...]
    mean_is_one = True

    def __init__(self, rows: Rows, y: Any, sample_weight: Any = None, class_weight: Any = None) -> None:
        super().__init__(rows.reader)
        numbers = Features(np.arange(rows.n), np.empty(0, np.int32), np.empty(0, np.int64), rows.n)
        self._rows = rows
        self.answers = rows.reader.answered(numbers, y, sample_weight, class_weight)
        self.n, self.classify = self.answers.X.n, self.answers.targets.classes
        self.sizes = tuple(min(rows.size, self.n - first) for first in range(0, self.n, rows.size))

    def glimpse(self) -> Batch:
        """Samples from all over the array; it is looked at as a whole first, later it would be too late."""
        self.check()
        return self.take_rows(_spread(np.arange(self.n), self.reader.n_in))

    def check(self) -> None:
        """Refuse what cannot be used, before it is."""
        self._rows.check()

    def begin(self, order: Callable[[int], NDArray[np.int64]]) -> None:
        """Begin a pass over the blocks, which are put in order."""
        self.close()
        numbers = order(len(self.sizes))
        self._start(lambda: self._pieces(numbers))

    def _pieces(self, numbers: Iterable[Any]) -> Generator[Batch, None, None]:
        for number in numbers:
            first = int(number) * self._rows.size
            yield self.take_rows(slice(first, min(first + self._rows.size, self.n)))

    def batches(self, between: Callable[[], None]) -> Iterator[Batch]:
        """The blocks one after the other."""
        return self._pieces(range(len(self.sizes)))

    def take_rows(self, places: slice | Array) -> Batch:
        """Some samples, by their places among those that weigh something."""
        numbers, targets, weight = self.answers
        all_rows = self.n == self._rows.n and isinstance(places, slice)
        X = self._rows.take(places if all_rows else numbers.values[places])
        return Batch(X, weights.take_targets(targets, places), None if weight is None else weight[places])
