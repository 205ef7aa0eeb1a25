"""A learned scale of the inputs: the first layer's weights are ``V = diag(s) W``, of which training steps s and W.

Everything else sees V alone: prediction, evaluation, the forward pass, the gradient. In the buffer of the parameters
stand, behind all layers, W with the first layer's biases as one more layer, and s as the biases of a layer without
inputs; their records follow those of the layers.
"""

from fastnn.kernels.buffers import Net, Stepper, Team
from fastnn.kernels.compile import inlined, stage
from fastnn.kernels.forward import weights_at
from fastnn.kernels.pointers import number
from fastnn.kernels.simd import lane_count, lane_sum, load, multiply_add, splat, store
from fastnn.kernels.team import part_start, share_out


@inlined
def scale_of(net, row):
    """What an input's weights are multiplied by; the row of biases by 1."""
    scale = net.layers[net.depth + 1]
    return net.params[scale.weights + row] if row < net.layers[0].n_in else number(net.params, 1)


@stage
def split_gradient(net: Net, stepper: Stepper, team: Team) -> None:
    """``dC/dW = diag(s) dC/dV`` and ``dC/ds = sum_j W dC/dV``, from dC/dV (n_in, n_out), which becomes 0.

    The parts of that are added up in order. A thread takes some inputs; the biases' gradient moves with the last ones.
    """
    first, own, scale = net.layers[0], net.layers[net.depth], net.layers[net.depth + 1]
    params, gradient, size, lanes = net.params, stepper.gradient, net.params_size, lane_count(net.params)
    zero = splat(params, 0)
    mine = share_out(first.n_in + 1, team.size)
    for i in range(part_start(mine, team.member), part_start(mine, team.member + 1)):
        s, along = splat(params, scale_of(net, i)), zero
        for column in range(0, first.n_out, lanes):
            given, wanted, total = weights_at(first, lanes, i, column), weights_at(own, lanes, i, column), zero
            for part in range(0, stepper.gradient_size, size):
                total = total + load(gradient, part + given)
                store(gradient, part + given, zero)
            along = multiply_add(total, load(params, wanted), along)
            store(gradient, wanted, total * s)
        if i < first.n_in:
            gradient[scale.weights + i] = lane_sum(along)


@stage
def fold_scale(net: Net, team: Team) -> None:
    """``V = diag(s) W``, and the biases as they are; a thread takes some inputs."""
    first, own, params, lanes = net.layers[0], net.layers[net.depth], net.params, lane_count(net.params)
    mine = share_out(first.n_in + 1, team.size)
    for i in range(part_start(mine, team.member), part_start(mine, team.member + 1)):
        s = splat(params, scale_of(net, i))
        for column in range(0, first.n_out, lanes):
            own_weights = load(params, weights_at(own, lanes, i, column))
            store(params, weights_at(first, lanes, i, column), own_weights * s)
