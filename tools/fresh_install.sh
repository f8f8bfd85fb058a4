#!/bin/sh
# Install the built wheel with the `local` extra into new environments, on Python 3.11 and on the newest Python that is here, and run the
# demo in each from an empty folder, without a network where the system can take it away. Prints the size of each environment.
set -eu
wheel=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
constraints=$(pwd)/constraints.txt
most_mb=400

candidates() {
  for minor in 11 12 13 14 15 16; do
    command -v "python3.$minor" || true
    for found in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python3; do [ -x "$found" ] && echo "$found"; done
  done
}
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

oldest= newest=
for python in $(candidates); do
  [ -n "$(version "$python")" ] || continue
  [ -n "$oldest" ] || oldest=$python
  newest=$python
done
[ -n "$oldest" ] || { echo "there is no Python 3.11 or newer here" >&2; exit 1; }

alone=
if unshare --map-root-user --net true 2>/dev/null; then alone="unshare --map-root-user --net"; fi
tried=
for python in "$oldest" "$newest"; do
  now=$(version "$python")
  [ "$now" != "$tried" ] || continue
  tried=$now
  place=$(mktemp -d)
  "$python" -m venv "$place/venv"
  "$place/venv/bin/python" -m pip install --quiet --upgrade "pip>=25.1"
  "$place/venv/bin/python" -m pip install --quiet --constraint "$constraints" "$wheel[local]"
  size=$(du -sm "$place/venv" | cut -f1)
  echo "Python $now: environment with [local] $size MB (at most $most_mb)"
  [ "$size" -le "$most_mb" ]
  (cd "$place" && $alone "$place/venv/bin/gristmill" demo >demo.txt) || { cat "$place/demo.txt"; exit 1; }
  head -1 "$place/demo.txt"
  [ "$(wc -l <"$place/runs/demo/export/messages/train.jsonl")" -eq 500 ]
  rm -rf "$place"
done
