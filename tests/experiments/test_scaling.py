"""The formula of expected step times, with numbers computed by hand."""

import pytest

from experiments import scaling
from experiments.scaling import Work, expected
from l2s_jax import cost
from l2s_jax.cost import Product
from l2s_jax.peaks import Accelerator
from tests.helpers import fake_system

DEVICE = Accelerator(("one",), {"bfloat16": 100.0}, memory=1.0, bandwidth=10.0, links=5.0)
WORK = Work([Product(1000.0, 20.0), Product(100.0, 50.0)], moved=30.0, reduced=20.0)


def test_each_product_takes_the_longer_of_arithmetic_and_traffic():
    # 10 s of arithmetic, 5 s of traffic where arithmetic takes 1, 3 s for the state
    alone = expected(WORK, DEVICE, "bfloat16", devices=1, reached=1.0)
    assert alone == (pytest.approx(18.0), 0.0, pytest.approx(1100 / 18 / 100))
    # Four devices send 2 * 3/4 of 20 bytes at 5 a second.
    four = expected(WORK, DEVICE, "bfloat16", devices=4, reached=1.0)
    assert four.reduce == pytest.approx(6.0)
    assert four.hidden == pytest.approx(18.0)
    half = expected(WORK, DEVICE, "bfloat16", devices=4, reached=0.5)
    assert (half.compute, half.reduce, half.mfu) == pytest.approx((36.0, 12.0, alone.mfu / 2))


def test_gradients_that_take_longer_than_the_rest_are_what_is_waited_for():
    slow = expected(WORK._replace(reduced=200.0), DEVICE, "bfloat16", devices=2, reached=1.0)
    assert slow.hidden == slow.reduce == pytest.approx(40.0)
    assert slow.mfu == pytest.approx(1100 / 40 / 100)


def test_the_work_of_a_plan(tmp_path):
    """The parser has a kernel [3, 6] and a bias; every batch trains them, and every 16th does so twice."""
    with fake_system.working_directory(tmp_path):
        plan = scaling.footprint.planned(fake_system.fake_config(), 1, open_model=None)
        work = scaling.work_of(plan)
    updates = 1 + cost.frequencies(plan.system, plan.config.train.steps)["r1"]
    assert work.reduced == updates * 24 * 4
    assert work.moved == 2 * 4 * updates * 24 * 4
    pixels = 16 * 16 * 16
    # forward, and the gradient of the kernel; the photo needs none
    assert sum(product.flops for product in work.products) == updates * 2 * (2 * pixels * 3 * 6)
