"""The order of the samples in an epoch: a random one, and Python's ``random.shuffle``, number for number.

A tiny network trains in four times the time that NumPy takes for a permutation; shuffling a list takes longer still.
"""

import numpy as np

from fastnn.kernels.compile import entry, kernel
from fastnn.kernels.records import Float64s, Int64s

WORDS = 624  # of the Mersenne Twister's state, behind which its place follows
_MIDDLE = 397


@kernel
def twist(state):
    """The next 624 words (Matsumoto and Nishimura, 1998); numbers below 2^32 in int64, so that no shift has a sign."""
    for i in range(WORDS):
        following = state[(i + 1) % WORDS]
        y = (state[i] & 0x80000000) | (following & 0x7FFFFFFF)
        state[i] = state[(i + _MIDDLE) % WORDS] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)


@kernel
def next_word(state):
    """32 random bits."""
    if state[WORDS] >= WORDS:
        twist(state)
        state[WORDS] = 0
    y = state[state[WORDS]]
    state[WORDS] += 1
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return y ^ (y >> 18)


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


@entry
def shuffle(order: Int64s, n: int, state: Int64s) -> None:
    """Shuffle ``order`` (n,), n < 2^32, in place; state: (625,) as ``random.getstate`` has it."""
    bits = 0
    while n >> bits > 0:
        bits += 1
    for i in range(n - 1, 0, -1):
        while (i + 1) >> (bits - 1) == 0:
            bits -= 1
        j = next_word(state) >> (32 - bits)
        while j > i:  # of as many bits as i + 1 has, drawn until it is not above i
            j = next_word(state) >> (32 - bits)
        order[i], order[j] = order[j], order[i]
