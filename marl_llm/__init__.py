"""Language-model and neural agents that learn by playing games, with and against each other.

Importing this package loads neither torch nor transformers, ray, pyspiel or pettingzoo.
"""

__version__ = "0.1.0"
