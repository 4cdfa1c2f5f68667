"""A PyTorch module: features of its Jacobian predict its own training in torch."""

import numpy as np
import pytest

import spectral_sim as ss
from spectral_sim.fitting import linearise_jacobian

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")

RATE, STEPS = 0.02, np.array([0, 10, 40, 120])
EXAMPLES = 60


def diabetes():
    """Standardised inputs and targets, sixty for training and eighty held out."""
    data = datasets.load_diabetes()
    order = np.random.default_rng(0).permutation(len(data.target))[: EXAMPLES + 80]
    inputs, targets = data.data[order], data.target[order, None]
    inputs, targets = ((x - x[:EXAMPLES].mean(axis=0)) / x[:EXAMPLES].std(axis=0) for x in (inputs, targets))
    tensors = [torch.tensor(x, dtype=torch.float64) for x in (inputs, targets)]
    return [(x[:EXAMPLES], x[EXAMPLES:]) for x in tensors]


def module():
    torch.manual_seed(0)
    layers = torch.nn.Linear(10, 256), torch.nn.Tanh(), torch.nn.Linear(256, 1)
    return torch.nn.Sequential(*layers).double()


def jacobian(model, inputs):
    """The derivative of each output of each example, as (examples, outputs, parameters)."""
    params = {name: value.detach() for name, value in model.named_parameters()}
    one = lambda params, example: torch.func.functional_call(model, params, (example[None],))[0]
    found = torch.func.vmap(torch.func.jacrev(one), in_dims=(None, 0))(params, inputs)
    return torch.cat([leaf.flatten(2) for leaf in found.values()], dim=2).numpy()


def trained(model, inputs, targets, held_out, weights):
    """Held-out losses of gradient descent by torch."""
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=RATE), []
    law = torch.tensor(weights / weights.sum())
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            with torch.no_grad():
                losses.append(0.5 * float(((model(held_out[0]) - held_out[1]) ** 2).sum(dim=1).mean()))
        optimizer.zero_grad()
        (0.5 * law @ ((model(inputs) - targets) ** 2).sum(dim=1)).backward()
        optimizer.step()
    return np.array(losses)


def test_a_torch_module_is_predicted_from_its_jacobian():
    (inputs, eval_inputs), (targets, eval_targets) = diabetes()
    weights = np.random.default_rng(1).exponential(size=EXAMPLES)
    model = module()
    with torch.no_grad():
        start, held_out = model(inputs).numpy(), model(eval_inputs).numpy()
    problem = linearise_jacobian(
        jacobian(model, inputs),
        start,
        targets.numpy(),
        eval_jacobian=jacobian(model, eval_inputs),
        eval_outputs=held_out,
        eval_targets=eval_targets.numpy(),
    )
    told = {}
    for name, schedule in (("uniform", ss.uniform()), ("curated", ss.static_weights(weights))):
        told[name] = np.asarray(ss.simulate(problem, schedule, RATE * STEPS).loss)
    for name, values in (("uniform", np.ones(EXAMPLES)), ("curated", weights)):
        real = trained(module(), inputs, targets, (eval_inputs, eval_targets), values)
        np.testing.assert_allclose(told[name][0], real[0], rtol=1e-10)
        assert np.abs(np.log(told[name] / real)).max() < 0.05
        assert real[-1] < 0.8 * real[0]
