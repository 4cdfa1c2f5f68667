"""What no schedule can beat."""

from ._certificate import certificate
from ._certificate_multiplier import Multiplier
from ._certificate_result import Certificate
from ._ideal import IdealOracle, ideal_oracle
from ._lower_bound import lower_bound
from ._quadrature import quadrature_error
from ._speed_limit import SpeedLimit, speed_limit
from ._static import Sandwich, SpectralBounds, spectral_bounds, static_sandwich, uniform_loss

__all__ = [
    "Certificate",
    "IdealOracle",
    "Multiplier",
    "Sandwich",
    "SpectralBounds",
    "SpeedLimit",
    "certificate",
    "ideal_oracle",
    "lower_bound",
    "quadrature_error",
    "spectral_bounds",
    "speed_limit",
    "static_sandwich",
    "uniform_loss",
]
