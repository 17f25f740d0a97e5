"""What a run costs beside what it cannot do without: the VM's own work, and files that are on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from tests.harness import ROOT
from tests.perf.result import Result
from tests.perf.stage import home

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")


def deterministic(runs: int) -> list[Result]:
    """So many runs of 001 by one command, beside as many bare transfers and the same bytes written as safely.

    Half of these before it and half after, since a disk that was just written to grows faster as it comes to rest.
    """
    with home() as path:
        _ours(path, 1)
        (session,), (telemetry,) = (
            [file.read_bytes() for file in path.glob(f"{kind}_*")] for kind in ("session", "*otel")
        )
    floor = _floor(runs // 2, session, telemetry)
    with home() as path:
        ours = _ours(path, runs)
    floor += _floor(runs - runs // 2, session, telemetry)
    return [Result(f"{runs:,} deterministic runs of 001", ours, floor, "s", 1.5, 1.2)]


def _ours(folder: Path, runs: int) -> float:
    command = [sys.executable, "-m", "runner", "benchmarks/001-sol-transfer.yml", "--repeat", str(runs), "--quiet"]
    began = time.perf_counter()
    subprocess.run([*command, "--sessions-dir", str(folder)], cwd=ROOT, check=True)
    return time.perf_counter() - began


def _floor(runs: int, session: bytes, telemetry: bytes) -> float:
    with home() as path:
        began = time.perf_counter()
        for number in range(runs):
            _transfer()
            _leave(path, number, session, telemetry)
        return time.perf_counter() - began


def _transfer() -> None:
    """A chain made anew, two accounts, one transfer."""
    vm, user, other = LiteSVM(), Keypair(), Keypair()
    vm.set_account(user.pubkey(), Account(1_000_000_000, b"", SYSTEM))
    vm.set_account(other.pubkey(), Account(0, b"", SYSTEM))
    move = transfer(TransferParams(from_pubkey=user.pubkey(), to_pubkey=other.pubkey(), lamports=100_000_000))
    blockhash: Hash = vm.latest_blockhash()
    vm.send_transaction(Transaction([user], Message.new_with_blockhash([move], user.pubkey(), blockhash), blockhash))


def _leave(folder: Path, number: int, session: bytes, telemetry: bytes) -> None:
    """The session at its beginning and its end, each written, synced and renamed; the telemetry line by line."""
    descriptor = os.open(folder / f"enhanced_otel_{number}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    _put(folder, number, session[:800])
    for line in telemetry.splitlines(keepends=True):
        os.write(descriptor, line)
    _put(folder, number, session)
    os.close(descriptor)


def _put(folder: Path, number: int, content: bytes) -> None:
    path = folder / f".session_{number}.tmp"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(descriptor, content)
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(path, folder / f"session_{number}.json")
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
