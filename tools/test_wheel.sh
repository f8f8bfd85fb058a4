#!/bin/sh
# Run the tests against an installed wheel, in a folder that has the tests and no source tree.
set -eu
venv=$(cd "$1" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp -r tests recipes pyproject.toml README.md "$place"
cd "$place"
"$venv/bin/python" -c "import gristmill, sys; assert '$venv' in gristmill.__file__, gristmill.__file__"
"$venv/bin/python" -m pytest -n 2 --dist worksteal -q -m "not trainers and not shared_data and not source_tree" \
  --ignore tests/crash
