"""Scores on known factors: by hand, at their limits, and equal to the published formulas for single dimensions."""

import json

import numpy as np
import pytest
import scipy.stats

from l2s_jax.metrics import factors as scores

N, K, D, F = 1200, 4, 3, 4


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).normal(size=(N, F))


def sliced(truth, noise=1e-4):
    """Subspace k is factor k along one direction, and faint noise along all."""
    rng = np.random.default_rng(1)
    directions = np.linalg.qr(rng.normal(size=(K, D, D)))[0][:, 0]
    return truth[:, :, None] * directions + noise * rng.normal(size=(len(truth), K, D))


def mixed(truth):
    """Every subspace holds all factors, each rotated in its own way."""
    rng = np.random.default_rng(2)
    rotations = np.linalg.qr(rng.normal(size=(K, F, F)))[0]
    return np.einsum("nf,kfd->nkd", truth, rotations) + 1e-4 * rng.normal(size=(len(truth), K, F))


def unrelated(truth):
    return np.random.default_rng(3).normal(size=(len(truth), K, D))


def measured(codes, truth, groups=None):
    groups = np.arange(F) if groups is None else groups
    return scores.table(codes, truth, groups, np.random.default_rng(4), 3)


@pytest.fixture(scope="module")
def tables(truth):
    return {make.__name__: measured(make(truth), truth) for make in (sliced, mixed, unrelated)}


def test_bins_by_hand():
    values = np.array([[3.0, 0], [1, 0], [2, 1], [2, 0]])
    np.testing.assert_array_equal(scores.quantile_bins(values, 2), [[1, 0], [0, 0], [0, 1], [0, 0]])


def test_bins_hold_equal_counts_and_only_the_order_matters(truth):
    bins = scores.quantile_bins(truth, 20)
    for column in bins.T:
        np.testing.assert_array_equal(np.bincount(column), np.full(20, N // 20))
    np.testing.assert_array_equal(scores.quantile_bins(np.exp(3 * truth), 20), bins)
    rare = np.where(truth > 1.5, 1.0, 0.0)
    np.testing.assert_array_equal(scores.quantile_bins(rare, 20) > 0, rare > 0)


def test_mutual_information_by_hand():
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert scores.mutual_information(a, a) == pytest.approx(np.log(2))
    assert scores.mutual_information(a, 1 - a) == pytest.approx(np.log(2))
    assert scores.mutual_information(a, b) == pytest.approx(0)
    # Three of four agree: H(b) = log 4 - 3/4 log 3, H(b | a) = log 2 / 2.
    c = np.array([0, 1, 1, 1])
    assert scores.mutual_information(a, c) == pytest.approx(np.log(4) - 0.75 * np.log(3) - 0.5 * np.log(2))


def test_mutual_information_is_the_sum_of_entropies(truth):
    a, b = scores.quantile_bins(truth[:, :2] @ np.array([[1, 1], [0, 1]]), 20).T
    parts = [np.unique(z, axis=0, return_counts=True)[1] for z in (a[:, None], b[:, None], np.stack([a, b], 1))]
    expected = scipy.stats.entropy(parts[0]) + scipy.stats.entropy(parts[1]) - scipy.stats.entropy(parts[2])
    assert scores.mutual_information(a, b) == pytest.approx(expected, abs=1e-12)


def test_independent_samples_are_told_apart_from_nothing_by_the_bias_alone():
    """(20 - 1)^2 / (2 N) nats on average; a chi-squared variable over 2 N of 361 degrees of freedom."""
    rng, count = np.random.default_rng(5), 4000
    found = [scores.mutual_information(*scores.quantile_bins(rng.normal(size=(count, 2)), 20).T) for _ in range(20)]
    deviation = np.sqrt(2 * 361) / (2 * count)
    assert np.mean(found) == pytest.approx(361 / (2 * count), abs=4 * deviation / np.sqrt(20) + 0.1 * 361 / (2 * count))


def test_information_of_single_dimensions_is_that_of_their_bins(truth):
    """What the published score bins is the dimension itself: a prediction from it is a line."""
    codes = (truth @ np.random.default_rng(6).normal(size=(F, 2)))[:, :, None]
    predicted, _ = scores.held_out(codes, truth)
    found, entropy = scores.block_information(predicted, truth[N // 2 :])
    bins = scores.quantile_bins(codes[N // 2 :, :, 0], 20), scores.quantile_bins(truth[N // 2 :], 20)
    for k in range(2):
        for f in range(F):
            ascending = np.corrcoef(codes[: N // 2, k, 0], truth[: N // 2, f])[0, 1] > 0
            own = bins[0][:, k] if ascending else 19 - bins[0][:, k]  # no ties, and 20 divides 600
            assert found[k, f] == pytest.approx(scores.mutual_information(own, bins[1][:, f]), abs=1e-12)
    np.testing.assert_allclose(entropy, np.log(20))


def test_gap_by_hand():
    known = np.array([[1.0, 0.2, 5], [0.5, 0.8, 1], [0.1, 0.1, 2]])
    assert scores.mutual_information_gap(known, np.array([2.0, 1, 0])) == pytest.approx((0.5 / 2 + 0.6 / 1) / 2)
    assert scores.mutual_information_gap(np.eye(3), np.ones(3)) == 1
    assert scores.mutual_information_gap(np.ones((3, 3)), np.ones(3)) == 0
    assert scores.mutual_information_gap(known, np.zeros(3)) is None
    with pytest.raises(ValueError, match="needs two"):
        scores.mutual_information_gap(known[:1], np.ones(3))


def test_gap_is_the_published_formula():
    """As in disentanglement_lib: the mean of sorted_m[0] - sorted_m[1] over the entropies."""
    rng = np.random.default_rng(7)
    known, entropy = rng.uniform(size=(5, 8)), rng.uniform(1, 2, size=8)
    ordered = np.sort(known, axis=0)[::-1]
    assert scores.mutual_information_gap(known, entropy) == pytest.approx(np.mean((ordered[0] - ordered[1]) / entropy))


def test_dci_is_the_published_formula():
    """As in disentanglement_lib, whose 1e-11 changes nothing here: entropies to the base of the other side's size."""
    importance = np.random.default_rng(8).gamma(0.5, size=(5, 8))
    rows = 1 - scipy.stats.entropy(importance.T, base=8)
    columns = 1 - scipy.stats.entropy(importance, base=5)
    found = scores.dci(importance)
    assert found["disentanglement"] == pytest.approx(rows @ importance.sum(1) / importance.sum())
    assert found["completeness"] == pytest.approx(columns @ importance.sum(0) / importance.sum())


def test_dci_limits():
    both = ("disentanglement", "completeness")
    assert scores.dci(np.diag([1.0, 2, 0.1])) == pytest.approx(dict.fromkeys(both, 1))
    assert scores.dci(np.ones((3, 4))) == pytest.approx(dict.fromkeys(both, 0))
    assert scores.dci(np.zeros((3, 4))) == dict.fromkeys(both)
    # One subspace with everything: each factor is in one place, but the place serves all.
    everything = np.zeros((3, 4))
    everything[1] = 1
    assert scores.dci(everything) == pytest.approx({"disentanglement": 0, "completeness": 1})
    assert scores.dci(np.array([[1.0], [1.0]])) == pytest.approx({"disentanglement": 1, "completeness": 0})


def test_importances_of_a_group_are_added():
    importance = np.array([[1.0, 2, 4], [8, 16, 32]])
    np.testing.assert_array_equal(scores.grouped(importance, np.array([1, 0, 1])), [[2, 5], [16, 40]])


def test_a_sliced_code_scores_one(tables):
    """But for the bias of MIG: subspaces that know nothing seem to know (20 - 1)^2 / (2 M) nats of log 20."""
    found = tables["sliced"]
    bias = 19**2 / N / np.log(20)
    assert found["mig"]["value"] == pytest.approx(1 - bias, abs=0.04)  # the second is the largest of three
    for name in ("dci", "dci_grouped"):
        assert min(score["value"] for score in found[name].values()) > 0.99
    assert found["informativeness"]["value"] > 0.99
    assert np.diagonal(found["r2"]).min() > 0.99
    assert (found["r2"] - np.diag(np.diagonal(found["r2"]))).max() < 0.05
    importance = np.array(found["importance"])
    np.testing.assert_array_equal(importance.argmax(0), range(K))


def test_a_mixed_code_is_as_informative_and_scores_low(tables):
    found = tables["mixed"]
    assert found["informativeness"]["value"] > 0.99
    assert found["mig"]["value"] < 0.01
    for name in ("disentanglement", "completeness"):
        assert found["dci"][name]["value"] < 0.4


def test_an_unrelated_code_is_at_chance(tables):
    found = tables["unrelated"]
    for name in ("mig", "informativeness"):
        assert abs(found[name]["value"] - found[name]["chance"]) < 0.02, name
    assert abs(found["mig"]["value"]) < 0.05
    assert np.max(found["r2"]) < 0.02
    assert -0.01 < found["r2_null_max"] < 0.02


def test_chance_is_low_for_codes_that_know(tables):
    for name in ("sliced", "mixed"):
        assert tables[name]["mig"]["chance"] < 0.05
        assert tables[name]["informativeness"]["chance"] < 0.01


def test_tables_are_ready_for_json(tables):
    assert json.loads(json.dumps(tables)) == tables


def test_the_order_of_subspaces_and_factors_does_not_matter(truth, tables):
    subspaces, columns = [2, 0, 3, 1], [1, 3, 2, 0]
    found = measured(mixed(truth)[:, subspaces], truth[:, columns])
    for name, value in tables["mixed"].items():
        if name in ("r2", "importance"):
            np.testing.assert_allclose(found[name], np.array(value)[np.ix_(subspaces, columns)], atol=1e-3)
    assert found["mig"]["value"] == pytest.approx(tables["mixed"]["mig"]["value"], abs=1e-9)
    for name in ("disentanglement", "completeness"):
        assert found["dci"][name]["value"] == pytest.approx(tables["mixed"]["dci"][name]["value"], abs=1e-3)


def test_factors_of_a_region_may_share_a_subspace(truth):
    """Two subspaces with two factors each: perfect by group, and as disentangled by factor as that allows."""
    codes = sliced(truth).reshape(N, 2, 2 * D)
    found = measured(codes, truth, np.array([0, 0, 1, 1]))
    assert min(score["value"] for score in found["dci_grouped"].values()) > 0.99
    assert found["dci"]["completeness"]["value"] > 0.99
    assert found["dci"]["disentanglement"]["value"] == pytest.approx(1 - np.log(2) / np.log(4), abs=0.01)


def test_too_few_faces_are_refused(truth):
    with pytest.raises(ValueError, match="39 faces are too few"):
        measured(sliced(truth)[:39], truth[:39])


def test_least_varying_of_single_dimensions_is_the_published_vote():
    """argmin of var(z_d) / var(z_d over all), with divisor L - 1."""
    rng = np.random.default_rng(9)
    sets, variance = rng.normal(size=(30, 8, 5, 1)) * [[1.0], [2], [0.1], [5], [1]], rng.uniform(0.5, 2, size=(5, 1))
    expected = np.argmin(np.var(sets[..., 0], axis=1, ddof=1) / variance[:, 0], axis=1)
    np.testing.assert_array_equal(scores.least_varying(sets, variance), expected)


def test_dead_dimensions_do_not_vote():
    sets = np.zeros((1, 4, 3, 2))
    sets[0, :, 0] = [[0, 0], [2, 0], [0, 0], [2, 0]]  # variance 4/3 of 4, and a dead dimension
    sets[0, :, 1] = [[0, 0], [1, 1], [0, 0], [1, 1]]  # variance 1/3 of 0.5, twice
    variance = np.array([[4, 1e-7], [0.5, 0.5], [0, 0]])
    assert scores.least_varying(sets, variance).tolist() == [0]
    assert scores.least_varying(sets, variance * [[0.4], [1], [1]]).tolist() == [1]
    with pytest.raises(ValueError, match="no dimension"):
        scores.least_varying(sets, np.zeros((3, 2)))


def test_majority_accuracy_by_hand():
    """Subspace 0 elects factor 2, subspace 1 factor 0; one of four votes of the second half is wrong."""
    votes = np.array([0, 0, 0, 1, 0, 1, 1, 0])
    fixed = np.array([2, 2, 1, 0, 2, 0, 1, 2])
    assert scores.majority_accuracy(votes, fixed, 2) == 0.75


def sharing(truth, sets=40, size=30):
    """Factors of sets, of which set v has factor v modulo F in common."""
    drawn = np.random.default_rng(10).normal(size=(sets, size, F))
    fixed = np.arange(sets) % F
    drawn[np.arange(sets), :, fixed] = drawn[np.arange(sets), :1, fixed]
    return drawn, fixed


@pytest.mark.parametrize(("make", "value"), [(sliced, 1.0), (unrelated, None)])
def test_factor_vae_score(truth, make, value):
    drawn, fixed = sharing(truth)
    sets = make(drawn.reshape(-1, F)).reshape(*drawn.shape[:2], K, D)
    found = scores.factor_vae(sets, fixed, make(truth), np.random.default_rng(11), 200)
    assert found["ceiling"] == 1
    assert found["chance"] == pytest.approx(1 / F, abs=0.05)
    # 20 votes are judged: a binomial share of 1 / F has the deviation 0.097.
    assert found["value"] == value if value else found["value"] < 1 / F + 3 * 0.097


def test_fewer_subspaces_than_factors_limit_the_factor_vae_score(truth):
    drawn, fixed = sharing(truth)
    codes, sets = sliced(truth)[:, :2], sliced(drawn.reshape(-1, F)).reshape(40, 30, K, D)[:, :, :2]
    found = scores.factor_vae(sets, fixed, codes, np.random.default_rng(11), 5)
    assert found["ceiling"] == 0.5
    assert found["value"] <= 0.5
    assert found["value"] > 0.4
