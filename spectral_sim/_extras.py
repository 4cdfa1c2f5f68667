"""Optional packages, imported by the call that needs them."""

import importlib
from typing import Any

INSTALL = "pip install 'spectral_sim[cli,plot,store,data]'"
_OF_DATA = {"PIL", "pandas", "pyarrow", "sklearn"}  # what the extra "data" holds


def require(module: str, what: str, install: str | None = None) -> Any:
    """Import an optional module, or say how to install it.

    Arguments:
        module: name of the module.
        what: what needs it, for the message.
        install: the command that installs it; that of its extra if None.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        command = "pip install 'spectral_sim[data]'" if package in _OF_DATA else INSTALL
        raise ImportError(f"{what} needs the package {package!r}: {install or command}") from error
