"""Classes by name: what registration takes, refuses and answers."""

import equinox as eqx
import pytest

import spectral_sim as ss
from spectral_sim._registry import registered, registered_name
from spectral_sim.schedules import STAGES, stage_name
from spectral_sim.sweeps import METRICS


class Halved(ss.AbstractStage):
    """A rule of a user."""

    kind = "allocate"

    def __call__(self, signal, observation, state):
        return signal / 2, state


def test_shipped_classes_are_registered_under_their_public_names():
    assert all(registered("stage", name) is cls for name, cls in STAGES.items())
    assert all(registered("metric", name) is cls for name, cls in METRICS.items())
    assert registered("dynamics", "ModalFlow") is ss.ModalFlow
    assert stage_name(ss.clip(0.1, 2.0)) == "clip"


def test_a_class_of_a_user_is_called_as_it_was_written():
    assert stage_name(Halved()) == "Halved"
    assert registered_name(Halved) is None
    assert ss.register(Halved) is Halved
    assert registered("stage", "Halved") is Halved
    assert registered_name(Halved) == "Halved"


def test_the_same_definition_may_run_twice():
    def define():
        class Again(Halved):
            pass

        return ss.register(Again)

    first, second = define(), define()
    assert first is not second
    assert registered("stage", "Again") is second
    assert registered_name(first) == "Again"


def test_classes_of_a_factory_are_told_apart():
    def make(factor):
        class Scaled(Halved):
            def __call__(self, signal, observation, state):
                return signal * factor, state

        return Scaled

    twice, thrice = make(2), make(3)
    ss.register(twice)
    with pytest.raises(ValueError, match=r"'Scaled' belongs to .*make.*Scaled already: rename .*make.*Scaled, .*name="):
        ss.register(thrice)
    assert registered("stage", "Scaled") is twice
    assert registered_name(thrice) is None
    assert ss.register(name="Thrice")(thrice) is thrice
    assert (stage_name(twice()), stage_name(thrice())) == ("Scaled", "Thrice")
    same = make(2)
    assert ss.register(same) is registered("stage", "Scaled") is same


def test_a_decorator_with_a_name():
    @ss.register(name="half_again")
    class HalfAgain(Halved):
        pass

    assert registered("stage", "half_again") is HalfAgain


def test_what_registration_refuses():
    class clip(Halved):
        pass

    with pytest.raises(ValueError, match=r"the stage name 'clip' belongs to spectral_sim.*Clip already: rename "):
        ss.register(clip)
    with pytest.raises(TypeError, match=r"takes a subclass of one of .*AbstractStage"):
        ss.register(eqx.nn.MLP)
    with pytest.raises(TypeError, match=r"cannot be registered, since it does not define __call__, kind\."):
        ss.register(ss.AbstractStage)
    with pytest.raises(LookupError, match=r"no stage is registered as 'halfed'.*@register.*Did you mean"):
        registered("stage", "halfed")
