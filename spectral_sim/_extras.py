"""Optional packages, imported by the call that needs them."""

import importlib
from typing import Any

INSTALL = "pip install 'spectral_sim[cli,plot,store,data]'"


def require(module: str, what: str, install: str = INSTALL) -> Any:
    """Import an optional module, or say how to install it.

    Arguments:
        module: name of the module.
        what: what needs it, for the message.
        install: the command that installs it.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs the package {module.split('.')[0]!r}: {install}") from error
