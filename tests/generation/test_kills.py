"""A run that is killed at random points loses nothing, doubles nothing and sends nothing durable again."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/store/kills.py"


def test_twenty_kills():
    """The script reads what each killed process left with code of its own; 16 requests are under way at a time."""
    command = [sys.executable, str(SCRIPT), "--kills=20", "--requests=800", "--journal-bytes=30000"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert found["kills"] == 20
    assert 0 < found["most in flight at a kill"] <= 16
    assert found["durable rows lost"] == 0
    assert found["rows missing"] == 0
    assert found["duplicated keys"] == 0
    assert found["durable requests sent again"] == 0
    assert found["sent again since the last whole run"] <= found["in flight at a kill"]
    assert found["equal to the undisturbed store"]
