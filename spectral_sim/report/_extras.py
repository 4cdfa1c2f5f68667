"""Optional packages of the reports; see the module of this name at the root."""

from .._extras import INSTALL, require

__all__ = ["INSTALL", "require"]
