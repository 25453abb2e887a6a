"""What a run is made of, from the command line."""

from ferry_producer.arguments import parse
from ferry_producer.command import _job
from ferry_producer.lines import Line
from ferry_producer.target import Target


def test_each_argument_is_a_line() -> None:
    """So --undelivered keeps it as one message, line feeds or not."""
    job = _job(parse(["a\nb", '{"text":\n"c"}', "d"]), Target("topic"), 0.0)
    assert job.texts == [Line(1, b'{"text":"a\\nb"}'), Line(2, b'{"text": "c"}'), Line(3, b"d")]
