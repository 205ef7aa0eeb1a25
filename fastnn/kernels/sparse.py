"""A first layer that skips zeros: inputs as lists of (index, value), one list per sample.

Pixels, words and categories are mostly zeros, and a zero adds nothing to the forward pass nor to the gradient. The
lists are made batch by batch, in registers, from the data as they are; nothing is kept.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.kernels.compile import kernel
from fastnn.kernels.forward import activate_tile, panel_vectors
from fastnn.kernels.functions import IDENTITY, fraction_of_255
from fastnn.kernels.host import PANEL_VECTORS, WIDTH
from fastnn.kernels.rows import fetch_sample
from fastnn.kernels.simd import (
    Vector,
    VectorType,
    broadcast,
    data_pointer,
    fma,
    ir_vector,
    lane_count,
    load,
    load_at,
    splat,
    store,
    store_at,
)
from fastnn.kernels.team import part_start, share_out
from fastnn.kernels.tiles import Matrix, Pointer, TileShape, for_each_shape, keep_rolled

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_CHAINS = 4  # independent sums per register of outputs: one chain of multiply-adds would wait for itself


def _append(builder, keep, columns):
    """Write the lanes under the mask ``keep`` of every ``(vector, pointer)`` to the front of the pointer's list.

    Returns how many. Whole registers are written; what lies past the count is rubbish.
    """
    lanes = keep.type.count
    if WIDTH == 16:
        for data, pointer in columns:
            builder.store(_compress(builder, data, keep), builder.bitcast(pointer, data.type.as_pointer())).align = 4
        return builder.zext(builder.ctpop(builder.bitcast(keep, ir.IntType(lanes))), _I64)
    count = _I64(0)
    for lane in range(lanes):  # write every lane, and let the next one overwrite it if it was zero
        for data, pointer in columns:
            builder.store(builder.extract_element(data, _I32(lane)), builder.gep(pointer, [count]))
        count = builder.add(count, builder.zext(builder.extract_element(keep, _I32(lane)), _I64))
    return count


def _compress(builder, data, keep):
    """AVX-512's compress: the lanes under the mask, moved together to the front."""
    element = {"i32": "i32", "float": "f32", "double": "f64"}[str(data.type.element)]
    name = f"llvm.x86.avx512.mask.compress.v{data.type.count}{element}"
    kind = ir.FunctionType(data.type, [data.type, data.type, keep.type])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [data, ir.Constant(data.type, None), keep])


def _count_from(builder, first, lanes):
    """``first, first + 1, ...``, one 32-bit number per lane."""
    numbers = ir.VectorType(_I32, lanes)
    empty = ir.Constant(numbers, ir.Undefined)
    start = builder.insert_element(empty, builder.trunc(first, _I32), _I32(0))
    return builder.add(builder.shuffle_vector(start, empty, numbers([0] * lanes)), numbers(list(range(lanes))))


@intrinsic
def append_nonzero(_, vector, first, values, at, indices, place):
    """List the lanes of ``vector`` that are not zero, in ``values[at:]``, and their numbers, in ``indices[place:]``.

    The lanes are numbered from ``first``. Returns how many there are.
    """

    def codegen(context, builder, signature, args):
        value_pointer = data_pointer(context, builder, values, args[2], args[3])
        index_pointer = data_pointer(context, builder, indices, args[4], args[5])
        keep = builder.fcmp_unordered("!=", args[0], ir.Constant(ir_vector(vector), [0.0] * vector.lanes))
        numbers = _count_from(builder, args[1], vector.lanes)
        return _append(builder, keep, [(args[0], value_pointer), (numbers, index_pointer)])

    return types.int64(vector, types.int64, values, types.intp, indices, types.intp), codegen


@intrinsic
def append_nonzero_bytes(_, pixels, source, first, indices, place):
    """List the bytes that are not zero among the next ``WIDTH``, as ``number << 8 | byte``; returns how many."""

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, WIDTH)
        pointer = data_pointer(context, builder, pixels, *args[:2])
        packed = builder.load(builder.bitcast(pointer, ir.VectorType(ir.IntType(8), WIDTH).as_pointer()))
        packed.align = 1
        value = builder.zext(packed, wide)
        keep = builder.icmp_unsigned("!=", value, wide([0] * WIDTH))
        numbers = builder.shl(_count_from(builder, args[2], WIDTH), wide([8] * WIDTH))
        target = data_pointer(context, builder, indices, args[3], args[4])
        return _append(builder, keep, [(builder.or_(numbers, value), target)])

    return types.int64(pixels, types.intp, types.int64, indices, types.intp), codegen


@intrinsic
def unpack_bytes(_, indices, place, like):
    """Take ``number << 8 | byte`` apart: leaves the numbers in ``indices`` and returns the bytes as floats."""
    vector = VectorType(like.dtype)

    def codegen(context, builder, signature, args):
        wide = ir.VectorType(_I32, vector.lanes)
        pointer = builder.bitcast(data_pointer(context, builder, indices, *args[:2]), wide.as_pointer())
        packed = builder.load(pointer)
        packed.align = 4
        builder.store(builder.lshr(packed, wide([8] * vector.lanes)), pointer).align = 4
        return builder.sitofp(builder.and_(packed, wide([255] * vector.lanes)), ir_vector(vector))

    return vector(indices, types.intp, like), codegen


@kernel
def list_pixels(data, source, n_in, net, place, at):
    """List a sample's bytes that are not zero, as fractions of 255; returns how many."""
    count = 0
    whole = n_in - n_in % WIDTH
    for i in range(0, whole, WIDTH):
        count += append_nonzero_bytes(data.pixels, source + i, i, net.indices, place + count)
    for i in range(whole, n_in):
        value = data.pixels[np.uint64(source + i)]
        net.indices[np.uint64(place + count)] = np.int32(i) << 8 | np.int32(value)
        count += value != 0
    for i in range(0, count, lane_count(net.work)):
        store(net.work, at + i, fraction_of_255(unpack_bytes(net.indices, place + i, net.work)))
    return count


@kernel
def list_features(data, source, n_in, net, place, at):
    """List a sample's numbers that are not zero; returns how many."""
    lanes = lane_count(net.work)
    count = 0
    whole = n_in - n_in % lanes
    for i in range(0, whole, lanes):
        vector = load(data.features, source + i)
        count += append_nonzero(vector, i, net.work, at + count, net.indices, place + count)
    for i in range(whole, n_in):
        value = data.features[np.uint64(source + i)]
        net.work[np.uint64(at + count)] = value
        net.indices[np.uint64(place + count)] = i
        count += value != 0
    return count


@kernel
def copy_entries(data, sample, net, place, at):
    """Copy a row of a CSR matrix, which is such a list already; returns how many entries it has."""
    first, end = data.starts[np.uint64(sample)], data.starts[np.uint64(sample + 1)]
    for i in range(end - first):
        net.work[np.uint64(at + i)] = data.features[np.uint64(first + i)]
        net.indices[np.uint64(place + i)] = data.columns[np.uint64(first + i)]
    return end - first


@kernel
def gather_nonzero(data, sample, n_in, net, row, at):
    """List the inputs of a sample that are not zero: values in ``work[at:]``, their numbers in ``indices``."""
    place = row * net.indices_stride
    if data.starts.size > 0:
        count = copy_entries(data, sample, net, place, at)
    elif data.pixels.size > 0:
        count = list_pixels(data, sample * n_in, n_in, net, place, at)
    else:
        count = list_features(data, sample * n_in, n_in, net, place, at)
    net.counts[np.uint64(row)] = count
    for i in range(count, count + _CHAINS):  # the forward pass takes them several at a time
        net.work[np.uint64(at + i)] = 0
        net.indices[np.uint64(place + i)] = 0


@intrinsic
def list_product(_, shape, values, indices, place, weights, bias, scale, out):
    """``out = bias + scale * sum_j values[j] * weights[indices[j], :]``; shape (1, vectors, count)."""

    def codegen(context, builder, signature, args):
        x, w, b, z = (Pointer(context, builder, signature.args[i], args[i]) for i in (1, 4, 5, 7))
        lanes = w.vector.lanes
        numbers = data_pointer(context, builder, indices, args[2], args[3])
        factor = broadcast(builder, w.vector, args[6])
        count = builder.extract_value(args[0], 2)

        def emit(_: int, vectors: int) -> None:
            zero = ir.Constant(ir_vector(w.vector), [0.0] * lanes)
            slots = [[cgutils.alloca_once_value(builder, zero) for _ in range(vectors)] for _ in range(_CHAINS)]
            # alloca_once_value fills its slot once per function, not once per tile
            for slot in (s for chain in slots for s in chain):
                builder.store(zero, slot)
            with cgutils.for_range_slice(builder, _I64(0), count, _I64(_CHAINS), _I64) as (j, _n):
                keep_rolled(builder)
                for chain, chain_slots in enumerate(slots):
                    at = builder.add(j, _I64(chain))
                    row = builder.zext(builder.load(builder.gep(numbers, [at])), _I64)
                    value = broadcast(builder, w.vector, builder.load(x.element(_I64(0), at)))
                    for v, slot in enumerate(chain_slots):
                        weight = load_at(builder, w.vector, w.element(row, _I64(v * lanes)))
                        total = fma(value, weight, Vector(builder, w.vector, builder.load(slot)))
                        builder.store(total.value, slot)
            for v in range(vectors):
                sums = [Vector(builder, w.vector, builder.load(chain[v])) for chain in slots]
                while len(sums) > 1:
                    sums = [sums[i] + sums[i + 1] for i in range(0, len(sums), 2)]
                store_at(z.vector_at(0, v), fma(sums[0], factor, load_at(builder, w.vector, b.vector_at(0, v))))

        for_each_shape(builder, args[0], 1, emit)
        return context.get_dummy_value()

    return types.none(shape, values, indices, types.intp, weights, bias, weights.types[0].dtype, out), codegen


@intrinsic
def list_outer(_, shape, values, indices, place, delta, scale, target):
    """``target[indices[j], :] += values[j] * scale * delta``; shape (1, vectors, count)."""

    def codegen(context, builder, signature, args):
        x, d, p = (Pointer(context, builder, signature.args[i], args[i]) for i in (1, 4, 6))
        numbers = data_pointer(context, builder, indices, args[2], args[3])
        factor = broadcast(builder, p.vector, args[5])

        def emit(_: int, vectors: int) -> None:
            deltas = [load_at(builder, p.vector, d.vector_at(0, v)) * factor for v in range(vectors)]
            with cgutils.for_range(builder, builder.extract_value(args[0], 2)) as loop:
                row = builder.zext(builder.load(builder.gep(numbers, [loop.index])), _I64)
                value = broadcast(builder, p.vector, builder.load(x.element(_I64(0), loop.index)))
                for v in range(vectors):
                    cell = p.element(row, _I64(v * p.vector.lanes))
                    store_at(cell, fma(value, deltas[v], load_at(builder, p.vector, cell)))

        for_each_shape(builder, args[0], 1, emit)
        return context.get_dummy_value()

    return types.none(shape, values, indices, types.intp, delta, target.types[0].dtype, target), codegen


@kernel
def forward_sparse(layer, activation, net, rows, scale):
    """``f(scale * X @ W + b)`` of the first layer from the lists; (rows, n_in) by (n_in, n_out) to (rows, n_out)."""
    lanes = lane_count(net.work)
    out = net.scratch.weighted if net.layers.shape[0] == 1 else layer.output
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        vectors = panel_vectors(layer.n_out - column, lanes)
        width = vectors * lanes
        at = layer.weights + column * (layer.n_in + 1)
        weights = Matrix(net.params, at, width)
        biases = Matrix(net.params, at + layer.n_in * width, width)
        for r in range(rows.first, rows.end):
            values = Matrix(net.work, layer.input + r * layer.input_stride, 0)
            block = Matrix(net.work, out + r * layer.stride + column, layer.stride)
            shape = TileShape(1, vectors, net.counts[np.uint64(r)])
            list_product(shape, values, net.indices, r * net.indices_stride, weights, biases, scale, block)
            if activation != IDENTITY:
                activate_tile(activation, block, shape)


@kernel
def add_sparse(layer, net, data, target, samples, scale, ahead, team):
    """``target += scale * X.T @ delta`` of the first layer from the lists; the biases' sums are not scaled.

    The columns, a register wide each, are shared out over the team: no weight ever has two writers. With each sample
    one of the rows ``ahead`` is fetched: all at once they would stop up the way to memory.
    """
    lanes = lane_count(net.work)
    mine = share_out((layer.n_out + lanes - 1) // lanes, team.size)
    number, last = part_start(mine, team.member), part_start(mine, team.member + 1)
    fetched = ahead.start + ahead.first
    while number < last:
        panel = number // PANEL_VECTORS * PANEL_VECTORS
        width = panel_vectors(layer.n_out - panel * lanes, lanes) * lanes
        vectors = min(last, panel + PANEL_VECTORS) - number
        at = layer.weights + panel * lanes * (layer.n_in + 1) + (number - panel) * lanes
        weights = Matrix(target, at, width)
        for r in range(samples):
            if fetched < ahead.start + ahead.end:
                fetch_sample(data, ahead.order[np.uint64(fetched)], layer.n_in)
                fetched += 1
            values = Matrix(net.work, layer.input + r * layer.input_stride, 0)
            delta = Matrix(net.work, layer.delta + r * layer.stride + number * lanes, 0)
            shape = TileShape(1, vectors, net.counts[np.uint64(r)])
            list_outer(shape, values, net.indices, r * net.indices_stride, delta, scale, weights)
            for v in range(0, vectors * lanes, lanes):
                bias = at + layer.n_in * width + v
                store(target, bias, load(target, bias) + load(net.work, delta.at + v))
        number += vectors


@kernel
def scale_weights(layer, params, factor):
    """``W *= factor`` of one layer, biases left alone."""
    lanes = lane_count(params)
    for column in range(0, layer.n_out, PANEL_VECTORS * lanes):
        width = panel_vectors(layer.n_out - column, lanes) * lanes
        at = layer.weights + column * (layer.n_in + 1)
        for i in range(at, at + layer.n_in * width, lanes):
            store(params, i, load(params, i) * splat(params, factor))
