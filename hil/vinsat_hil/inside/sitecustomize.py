"""Read by Python at its start where this folder is on PYTHONPATH: puts the board under a program."""

from vinsat_hil.hooks import install_from_environment

install_from_environment()
