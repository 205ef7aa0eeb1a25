"""The order of the samples in an epoch: a random one, or the one that Python or NumPy would give, number for number.

A tiny network trains in four times the time that NumPy takes for a permutation; shuffling a list takes longer still.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastnn.kernels.compile import entry, kernel
from fastnn.kernels.host import WIDTH
from fastnn.kernels.pointers import element_pointer, moved
from fastnn.kernels.records import Float64s, Int64s, UInt32s

WORDS = 624  # of the Mersenne Twister's state, behind which its place follows
ROOM = 3 * WORDS  # for the words before, the next ones, and what is drawn from them
_MIDDLE = 397
_REGISTER = ir.VectorType(ir.IntType(32), WIDTH)  # so many words are a whole number of them


def _all(word):
    return _REGISTER([word] * WIDTH)


def _register_at(builder, kind, array, index):
    """Pointer to a register of words; they lie anywhere."""
    return builder.bitcast(element_pointer(builder, kind, array, index), _REGISTER.as_pointer())


@intrinsic
def twist_register(_, words, at):
    """``words[at + 624:]`` from those before (Matsumoto and Nishimura, 1998), a register of them."""

    def codegen(context, builder, signature, args):
        def place(behind):
            return _register_at(builder, signature.args[0], args[0], builder.add(args[1], args[1].type(behind)))

        word, following, middle = (builder.load(place(behind), align=4) for behind in (0, 1, _MIDDLE))
        y = builder.or_(builder.and_(word, _all(0x80000000)), builder.and_(following, _all(0x7FFFFFFF)))
        is_odd = builder.icmp_unsigned("!=", builder.and_(y, _all(1)), _all(0))
        mixed = builder.xor(builder.lshr(y, _all(1)), builder.select(is_odd, _all(0x9908B0DF), _all(0)))
        builder.store(builder.xor(middle, mixed), place(WORDS), align=4)
        return context.get_dummy_value()

    return types.none(words, types.int64), codegen


@intrinsic
def temper_register(_, state, at, drawn):
    """``drawn[at:]``: the state's words with their bits mixed, a register of them."""

    def codegen(context, builder, signature, args):
        y = builder.load(_register_at(builder, signature.args[0], args[0], args[1]), align=4)
        y = builder.xor(y, builder.lshr(y, _all(11)))
        for shift, mask in ((7, 0x9D2C5680), (15, 0xEFC60000)):
            y = builder.xor(y, builder.and_(builder.shl(y, _all(shift)), _all(mask)))
        y = builder.xor(y, builder.lshr(y, _all(18)))
        builder.store(y, _register_at(builder, signature.args[2], args[2], args[1]), align=4)
        return context.get_dummy_value()

    return types.none(state, types.int64, drawn), codegen


@kernel
def twist(state, words):
    """The next 624 words; ``words`` (1248,) is room for those before and these."""
    for i in range(WORDS):
        words[i] = state[i]
    for i in range(0, WORDS, WIDTH):
        twist_register(words, i)
    for i in range(WORDS):
        state[i] = words[WORDS + i]


@kernel
def temper(state, drawn):
    """What is drawn from 624 words."""
    for i in range(0, WORDS, WIDTH):
        temper_register(state, i, drawn)


@entry
def permute(order: Int64s, first: int, end: int, draws: Float64s) -> None:
    """Go on from a random order of 0 ... first - 1 to one of 0 ... end - 1.

    order: (end,); draws: (end - first,), uniform in [0, 1). Durstenfeld's shuffle, the other way round: number i goes
    to a place up to i, and what is there moves to place i.
    """
    for i in range(first, end):
        j = np.int64(draws[i - first] * (i + 1))
        order[i] = order[j]
        order[j] = i


@kernel
def shuffle_row(order, n, state, room, high):
    """Shuffle one order; see ``shuffle``."""
    drawn, i, bits = moved(room, 2 * WORDS), n - 1, 0
    while n - 1 + high >> bits > 0:
        bits += 1
    while i > 0:
        while (i + high) >> (bits - 1) == 0:
            bits -= 1
        least, shift, mask = (1 << (bits - 1)) - high, (32 - bits) * high, (1 << bits) - 1
        if state[WORDS] >= WORDS:
            twist(state, room)
            temper(state, drawn)
            state[WORDS] = 0
        place = np.int64(state[WORDS])
        while place < WORDS and i >= least:
            j = (drawn[place] >> shift) & mask
            place += 1
            taken = j <= i
            other = j if taken else i
            order[i], order[other] = order[other], order[i]
            i -= np.int64(taken)
        state[WORDS] = place


@entry
def shuffle(orders: Int64s, count: int, n: int, state: UInt32s, room: UInt32s, high: int) -> None:
    """Shuffle the first row of ``orders`` (count, n), n < 2^32, in place, and make each other one from that before it.

    state: (625,), its place last; room: (1872,). Item i changes places with one up to i, drawn until it is not above i:
    the lowest bits of a word, as many as i has, or where ``high`` is 1 its highest bits, as many as i + 1 has. Up to
    half of the draws are in vain, and nobody can foresee which: then an item changes places with itself, instead of a
    branch.
    """
    temper(state, moved(room, 2 * WORDS))
    for row in range(count):
        order = moved(orders, row * n)
        if row > 0:
            before = moved(orders, (row - 1) * n)
            for i in range(n):
                order[i] = before[i]
        shuffle_row(order, n, state, room, high)
