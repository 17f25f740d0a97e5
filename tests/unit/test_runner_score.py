"""The score, against figures worked out by hand."""

import pytest

from runner.case import ExpectedAccount, ExpectedInstruction, GroundTruth, SolBalance, SolBalanceChange
from runner.case import TokenAccountBalance as TokenBalance
from runner.instruction import AccountMeta, Instruction
from runner.score import Balances, score, verify

P, Q = "program-p", "program-q"


def account(pubkey, signer=False, writable=True, weight=1.0):
    return ExpectedAccount(pubkey, signer, writable, weight)


def expected(*accounts, program=P, program_weight=1.0, data=None, data_weight=None):
    return ExpectedInstruction(program, program_weight, accounts, data, data_weight)


def meta(pubkey, signer=False, writable=True):
    return AccountMeta(pubkey, signer, writable)


def done(*metas, program=P, data=b""):
    return Instruction(program, metas, data)


def truth(*instructions, skip=False):
    return GroundTruth("Success", (), instructions, skip, None, ())


A, B, C = account("a"), account("b"), account("c")
a, b, c = meta("a"), meta("b"), meta("c")

# what is expected, what was done, whether the chain took it, the instructions' share, the score
TABLE = {
    "all matches": (truth(expected(A, B)), [done(a, b)], True, 1.0, 1.0),
    "all matches, the chain refuses": (truth(expected(A, B)), [done(a, b)], False, 1.0, 0.75),
    "nothing is expected": (truth(), [done(a)], True, 1.0, 1.0),
    "nothing is expected or done": (truth(), [], False, 1.0, 0.75),
    "nothing is done": (truth(expected(A)), [], False, 0.0, 0.0),
    "another program": (truth(expected(A, B)), [done(a, b, program=Q)], True, 2 / 3, 0.75),
    "one account of three": (truth(expected(A, B, C)), [done(a, c, b)], True, 2 / 4, 0.625),
    "an account is missing": (truth(expected(A, B, C)), [done(a, b)], True, 3 / 4, 0.8125),
    "an account too many costs nothing": (truth(expected(A)), [done(a, b)], True, 1.0, 1.0),
    "signer differs": (truth(expected(A)), [done(meta("a", signer=True))], True, 1 / 2, 0.625),
    "writable differs": (truth(expected(A)), [done(meta("a", writable=False))], True, 1 / 2, 0.625),
    "weights count": (
        truth(expected(account("a", weight=3), account("b", weight=0.5), program_weight=0.5)),
        [done(a, c)],
        True,
        3.5 / 4,
        0.90625,
    ),
    "weight 0 counts for nothing": (truth(expected(A, account("b", weight=0))), [done(a, c)], True, 1.0, 1.0),
    "weights of 0 only": (truth(expected(program_weight=0)), [], True, 1.0, 1.0),
    "data is judged": (truth(expected(data=b"x", data_weight=1)), [done(data=b"x")], True, 1.0, 1.0),
    "data differs": (truth(expected(data=b"x", data_weight=3)), [done(data=b"y")], True, 1 / 4, 0.4375),
    "data without a weight is not judged": (truth(expected(data=b"x")), [done(data=b"y")], True, 1.0, 1.0),
    "data that is not given is not judged": (truth(expected(data_weight=5)), [done(data=b"y")], True, 1.0, 1.0),
    "data is judged and missing": (truth(expected(data=b"", data_weight=1)), [], False, 0.0, 0.0),
    "wrong order": (truth(expected(A), expected(B, program=Q)), [done(b, program=Q), done(a)], True, 0.0, 0.25),
    "the second is missing": (truth(expected(A), expected(B, C)), [done(a)], True, 2 / 5, 0.55),
    "one too many costs nothing": (truth(expected(A)), [done(a), done(b)], True, 1.0, 1.0),
    "not validated, taken": (truth(expected(A), skip=True), [], True, 1.0, 1.0),
    "not validated, refused": (truth(expected(A), skip=True), [done(a)], False, 0.0, 0.0),
}


@pytest.mark.parametrize("name", TABLE)
def test_score(name):
    ground_truth, instructions, succeeded, share, value = TABLE[name]
    judged = score(ground_truth, instructions, succeeded=succeeded, address=str)
    assert judged.instructions == pytest.approx(share, abs=1e-12)
    assert judged.onchain == float(succeeded)
    assert judged.value == pytest.approx(value, abs=1e-12)


def test_names_are_compared_as_addresses():
    judged = score(truth(expected(account("WALLET"))), [done(a)], succeeded=True, address={"WALLET": "a"}.__getitem__)
    assert judged.value == 1.0


def test_parts_tell_what_was_expected_and_got():
    judged = score(truth(expected(A, B)), [done(a, c)], succeeded=True, address=str)
    assert [(part.what, part.matched) for part in judged.parts] == [
        ("instructions[0].program_id", True),
        ("instructions[0].accounts[0]", True),
        ("instructions[0].accounts[1]", False),
    ]
    assert (judged.parts[2].expected["pubkey"], judged.parts[2].got["pubkey"]) == ("b", "c")


@pytest.mark.parametrize(
    ("assertion", "balances", "passed", "actual"),
    [
        (SolBalance("w", 7, 1), Balances(9, 7, None), True, 7),
        (SolBalance("w", 7, 1), Balances(7, 8, None), False, 8),
        (SolBalanceChange("w", -2, 1), Balances(9, 7, None), True, -2),
        (SolBalanceChange("w", -1, 1), Balances(9, 7, None), False, -2),
        (TokenBalance("t", 5, None, None, 1), Balances(0, 0, 5), True, 5),
        (TokenBalance("t", 5, None, None, 1), Balances(0, 0, 6), False, 6),
        (TokenBalance("t", 0, None, None, 1), Balances(0, 0, None), False, None),
        (TokenBalance("t", None, 5, None, 1), Balances(0, 0, 6), True, 6),
        (TokenBalance("t", None, 5, None, 1), Balances(0, 0, 4), False, 4),
        (TokenBalance("t", None, 0, None, 1), Balances(0, 0, None), False, None),
    ],
)
def test_assertions(assertion, balances, passed, actual):
    verdict = verify(assertion, balances)
    assert (verdict.passed, verdict.actual, verdict.type) == (passed, actual, type(assertion).__name__)
