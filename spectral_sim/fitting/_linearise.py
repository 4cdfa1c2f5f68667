"""A data problem that learns as a network does near some parameters."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._checks import check_choice, check_finite, check_length, check_ndim
from .._types import ArrayLike, PyTree
from ..problems import NetworkProblem, OperatorProblem
from ._example_scores import check_network
from ._kernel_features import KernelFeatures, check_memory, dense_features, drawn_features, warn_of_cut
from ._network_kernel import KERNELS, NetworkJacobian, gram, kernel_product, kernel_trace, last_layer


def linearise(
    network: NetworkProblem,
    params: PyTree | None = None,
    *,
    kernel: str = "trace",
    rank: int | None = None,
    scale: PyTree | None = None,
) -> OperatorProblem:
    """The data problem whose gradient flow is gradient descent of a network, as long as its kernel stays.

    Near parameters theta0 a network is f(x; theta0) + J(x)(theta - theta0), and its outputs are driven by the kernel
    K = J J^T. The problem has the features of that kernel and the targets y - f(x), where f are the outputs of
    `network.params`: training starts there, wherever the kernel is taken. Time is learning rate times steps. Its losses
    and energies are those of the network.

    The loss of the problem is the squared one. A network with the cross-entropy has no closed form: give what is
    returned to `KernelTraining`, which takes its features.

    Arguments:
        network: a network and its data.
        params: where the kernel is taken, such as after a short training; `network.params` if None.
        kernel: "trace": the mean over outputs, which all outputs share. "full": every output of every example has a
            row, and the rows of an example form a group. "last_layer": as "trace", from the parameters of the last
            layer alone.
        rank: the most features to keep; as many as the kernel has if None. A cut is warned of, with the share of the
            trace that is kept; `fitting.kernel_features` returns that share.
        scale: by what the optimiser multiplies each gradient, like `params`, as the second moments of Adam do; 1 if
            None.

    Returns:
        An `OperatorProblem`, its weights on the examples or groups of the network.

    Raises:
        ValueError: an unknown kernel, parameters that are not like those of the network, or a kernel that does not fit
            into 4 GiB; the message names the rank that does.

    Source:
        Jacot, Gabriel and Hongler, Neural Tangent Kernel (2018); Lee et al., Wide Neural Networks of Any Depth Evolve
        as Linear Models Under Gradient Descent (2019).
    """
    found = kernel_features(network, params, kernel=kernel, rank=rank, scale=scale)
    warn_of_cut(found, kernel)
    outputs = network.outputs(network.params, network.inputs)
    held_out = None if network.eval_inputs is None else network.outputs(network.params, network.eval_inputs)
    remaining = None if held_out is None or network.eval_targets is None else network.eval_targets - held_out
    return _as_problem(found, network.targets - outputs, remaining, network.example_mass, network.groups)


def kernel_features(
    network: NetworkProblem,
    params: PyTree | None = None,
    *,
    kernel: str = "trace",
    rank: int | None = None,
    scale: PyTree | None = None,
) -> KernelFeatures:
    """The features that `linearise` uses, with their rank and the share of the trace that they keep.

    A kernel that is held whole costs a product of the Jacobian with itself, by blocks of examples; one that is cut to
    few features costs passes over the data for each of them.

    Arguments:
        network: a network and its data.
        params: where the kernel is taken; `network.params` if None.
        kernel: "trace", "full" or "last_layer", as for `linearise`.
        rank: the most features to keep; as many as the kernel has if None.
        scale: by what the optimiser multiplies each gradient, like `params`; 1 if None.

    Raises:
        ValueError: as for `linearise`.
    """
    check_choice("kernel", kernel, KERNELS)
    check_network(network)
    if params is not None:
        network = network.with_params(params)
    full = kernel == "full"
    each = network.num_outputs if full else 1
    rows = network.num_examples * each
    eval_rows = 0 if network.eval_inputs is None else network.eval_inputs.shape[0] * each
    fits = check_memory(rows, eval_rows, rank, np.dtype(network.dtype))
    mask = last_layer(network, network.params) if kernel == "last_layer" else True
    moving, held = eqx.partition(network.params, mask)
    if scale is not None:  # kernel J D J^T from units of sqrt(D)
        scale = eqx.filter(
            jax.tree.map(lambda x, d: jnp.sqrt(jnp.broadcast_to(d, x.shape)), network.params, scale), mask
        )
    jacobian = NetworkJacobian(network, moving, held, scale, full)
    inputs, held_out = network.inputs, network.eval_inputs
    if rank is None or (fits and rows < 20 * rank):
        cross = None if held_out is None else gram(jacobian, held_out, inputs)
        return dense_features(gram(jacobian, inputs), cross, rank)
    return drawn_features(
        lambda vectors: kernel_product(jacobian, inputs, inputs, vectors),
        None if held_out is None else lambda vectors: kernel_product(jacobian, held_out, inputs, vectors),
        rows,
        min(rank, rows),
        kernel_trace(jacobian, inputs),
        np.dtype(network.dtype),
    )


def linearise_jacobian(
    jacobian: ArrayLike,
    outputs: ArrayLike,
    targets: ArrayLike,
    *,
    eval_jacobian: ArrayLike | None = None,
    eval_outputs: ArrayLike | None = None,
    eval_targets: ArrayLike | None = None,
    kernel: str = "trace",
    rank: int | None = None,
    mass: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> OperatorProblem:
    """As `linearise`, for a network of any library, from its Jacobian.

    Of a PyTorch module the Jacobian is `torch.func.vmap(torch.func.jacrev(f, ...))` of its outputs in its parameters,
    with the axes of all parameters flattened into one.

    Arguments:
        jacobian: derivative of each output of each example in each parameter, shape (examples, outputs, parameters).
        outputs: what the network returns where training starts, shape (examples, outputs).
        targets: shape (examples, outputs).
        eval_jacobian, eval_outputs, eval_targets: the same of held-out examples; all or none.
        kernel: "trace" or "full".
        rank: the most features to keep; all if None.
        mass: base mass of examples, shape (examples,); equal if None.
        groups: group number of each example, shape (examples,).

    Raises:
        ValueError: shapes that do not go together, values that are not finite, or as `linearise`.
    """
    check_choice("kernel", kernel, KERNELS[:2])
    rows, start, wanted = _checked_set("", jacobian, outputs, targets)
    examples, width, parameters = rows.shape
    full = kernel == "full"
    check_memory(examples * (width if full else 1), 0, rank, rows.dtype)
    gathered = (eval_jacobian, eval_outputs, eval_targets)
    if any(each is None for each in gathered) != all(each is None for each in gathered):
        raise ValueError("eval_jacobian, eval_outputs and eval_targets go together: give all or none.")
    cross = remaining = None
    if eval_jacobian is not None:
        others, held_out, eval_wanted = _checked_set("eval_", eval_jacobian, eval_outputs, eval_targets)
        if others.shape[1:] != (width, parameters):
            raise ValueError(
                f"eval_jacobian has shape {others.shape}, and jacobian {rows.shape}: give the same outputs and "
                "parameters."
            )
        cross, remaining = _gram_of(others, rows, full), jnp.asarray(eval_wanted - held_out)
    found = dense_features(_gram_of(rows, rows, full), cross, rank)
    warn_of_cut(found, kernel)
    mass = np.full(examples, 1 / examples, rows.dtype) if mass is None else mass
    return _as_problem(found, jnp.asarray(wanted - start), remaining, mass, groups)


def _gram_of(left: np.ndarray, right: np.ndarray, full: bool) -> np.ndarray:
    if full:
        return left.reshape(-1, left.shape[2]) @ right.reshape(-1, right.shape[2]).T
    return np.einsum("icp,jcp->ij", left, right, optimize=True) / left.shape[1]


def _checked_set(prefix: str, jacobian: Any, outputs: Any, targets: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.asarray(jacobian)
    check_ndim(f"{prefix}jacobian", rows, 3, "examples, outputs, parameters")
    rows = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float32)
    check_finite(f"{prefix}jacobian", rows, "take it where the network is finite")
    pair = []
    for name, value in (("outputs", outputs), ("targets", targets)):
        array = np.asarray(value, rows.dtype)
        array = array[:, None] if array.ndim == 1 else array
        check_finite(f"{prefix}{name}", array, "remove or impute the example")
        check_length(f"{prefix}{name}", array, rows.shape[0], f"{prefix}jacobian with {rows.shape[0]} examples")
        if array.shape != rows.shape[:2]:
            raise ValueError(f"{prefix}{name} has shape {array.shape}: (examples, outputs) is {rows.shape[:2]}.")
        pair.append(array)
    return rows, *pair


def _as_problem(found: KernelFeatures, targets: Any, eval_targets: Any, mass: Any, groups: Any) -> OperatorProblem:
    """The problem with the kernel's own time, losses and energies.

    Where every output has a row of its own a row has its example's mass over the outputs C. Features and targets times
    sqrt(C) make up for that: the flow is then that of K, and the mean of the energies of the rows of an example is the
    energy of the example.
    """
    examples, outputs = targets.shape
    features, eval_features = found.features, found.eval_features
    if features.shape[0] > examples:
        root = np.sqrt(outputs).astype(features.dtype)
        each = lambda rows: None if rows is None else root * rows.reshape(-1, 1)
        groups = np.repeat(np.arange(examples) if groups is None else np.asarray(groups), outputs)
        mass = np.repeat(np.asarray(mass), outputs)
        features, eval_features = root * features, None if eval_features is None else root * eval_features
        targets, eval_targets = each(targets), each(eval_targets)
    return OperatorProblem(
        features, targets, mass=mass, eval_features=eval_features, eval_targets=eval_targets, groups=groups
    )
