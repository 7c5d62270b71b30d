"""autoinstall: a machine is powered on, and some minutes later it is a node."""

__version__ = "0.1.0"
