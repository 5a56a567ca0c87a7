"""`python -m tests.bench.field NAME ASKS KILLS`: measures one library in this process and prints what it found as JSON."""

import importlib
import json
import sys

if __name__ == "__main__":
    name, asks, kills = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(importlib.import_module(f"tests.bench.field.{name}").measure(asks, kills)), flush=True)
