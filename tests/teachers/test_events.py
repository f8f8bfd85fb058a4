"""Server-sent events: whatever the cut, the data of each event."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.teachers.events import EventCutter, Seen

WIRE = b': hello\n\nevent: a\nid: 1\ndata: {"x": 1}\n\ndata:two\ndata: lines\n\n\n\ndata: \xc3\xbc\n\ndata: last'
DATA = [b'{"x": 1}', b"two\nlines", "ü".encode(), b"last"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@given(cuts=st.sets(st.integers(0, len(WIRE) + 12)))
def test_the_data_is_the_same_however_the_bytes_are_cut(end: bytes, cuts: set[int]) -> None:
    wire = WIRE.replace(b"\n", end)
    places = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    cutter = EventCutter()
    found = [data for start, stop in pairwise(places) for data in cutter.feed(wire[start:stop])]
    assert found + cutter.end() == DATA


def test_evidence_of_a_short_stream_is_all_of_it_and_of_a_long_one_both_ends() -> None:
    seen = Seen()
    events = [b"%08d" % number for number in range(100_000)]
    for event in events[:3]:
        seen.add(event)
    assert seen.evidence() == b"".join(b"data: " + event + b"\n\n" for event in events[:3])
    for event in events[3:]:
        seen.add(event)
    evidence = seen.evidence()
    kept = [line.removeprefix(b"data: ") for line in evidence.split(b"\n\n") if line.startswith(b"data: ")]
    middle = len(kept) // 2
    assert kept == events[:middle] + events[-middle:]
    assert b": %d events are left out here" % (len(events) - len(kept)) in evidence
    assert len(evidence) < 1_000_000
