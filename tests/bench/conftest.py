"""Settings of the machine that benchmarks share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Both sides compute on one thread, so that their CPU times compare."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
