"""The command lines of what changes something."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from ferry_console.command_line import add_command, add_dry_run, add_json, add_yes
from ferry_console.option_values import seconds

if TYPE_CHECKING:
    from ferry_console.command_line import Commands

_TARGET = re.compile(r"[A-Za-z0-9._-]{1,249}(:(0|[1-9][0-9]{0,9}))?")

_PAUSE = """\
examples:
  ferry pause messages --reason "the shop is being moved"
  ferry pause messages:3             partition 3 alone
  ferry pause messages --dry-run     what it would do

Nothing new is dispatched; what is in flight goes on. It holds until ferry resume, also when consumers restart.
exit codes: 0 it is paused, 2 wrong usage or setting, 3 Redis can't be reached
"""
_RESUME = """\
examples:
  ferry resume messages
  ferry resume messages:3              partition 3 alone
  ferry resume messages --dry-run      who paused it, when and why

A topic and its partitions are paused each by itself: a paused topic isn't resumed by its partitions.
exit codes: 0 resumed, 1 it was not paused, 2 wrong usage or setting, 3 Redis can't be reached
"""
_SKIP = """\
examples:
  ferry skip messages-0-42 --reason "its account is closed"
  ferry skip messages-0-42 --reason test --dry-run
  ferry skip messages-0-10..20 --reason "sent by mistake"     a batch in flight: each of its messages that is not done

Whether it waits, runs or is to be retried: it ends as a dead letter. A task that runs goes on, and no longer counts.
exit codes: 0 skipped, 1 it is not in flight, 2 wrong usage or setting, 3 Redis can't be reached
"""

_DRAIN = """\
examples:
  ferry drain                        all topics of the group, before an upgrade or a move
  ferry drain messages orders:3 --timeout 60
  ferry drain --dry-run              what is in flight now, and what would be paused
  ferry drain && systemctl restart my-workers; ferry resume messages

Pauses the topics, and waits until nothing of them is in flight and all is committed. They stay paused, whatever comes
of it, also after Ctrl-C: until ferry resume.
exit codes: 0 drained, 1 not within the time or nothing to drain, 2 wrong usage or setting, 3 Redis can't be reached,
130 interrupted
"""

_FORGET = """\
examples:
  ferry forget shop --dry-run          every key that Redis holds of the group shop, and what stands in the way
  ferry forget shop
  ferry forget shop --force --yes      although messages are in flight; what is lost is said

For a group that is retired: ledgers, pauses, status, marks of replays, beat's last runs. Its commits in Kafka are left;
if the group comes back, it goes on from there. Nothing is removed while consumers of it are at work.
exit codes: 0 forgotten, 1 something stands in the way or there is nothing, 2 wrong usage or setting, 3 Redis or Kafka
can't be reached
"""


def add_commands(commands: Commands) -> None:
    """Add `pause`, `resume`, `drain`, `skip` and `forget`."""
    pause = add_command(commands, "pause", "dispatch nothing more of a topic or partition", _PAUSE)
    pause.add_argument("target", type=target, metavar="TOPIC[:PARTITION]")
    pause.add_argument("--reason", default="", metavar="TEXT", help="why, for those who find it paused")
    resume = add_command(commands, "resume", "end a pause, an operator's or the dead-letter limit's", _RESUME)
    resume.add_argument("target", type=target, metavar="TOPIC[:PARTITION]")
    drain = add_command(commands, "drain", "pause, and wait until nothing is in flight", _DRAIN)
    drain.add_argument(
        "targets", nargs="*", type=target, metavar="TOPIC[:PARTITION]", help="these instead of all topics of the group"
    )
    drain.add_argument("--reason", default="", metavar="TEXT", help="why, for those who find it paused")
    drain.add_argument("--timeout", type=seconds, default=600.0, metavar="SECONDS", help="how long it waits (600)")
    skip = add_command(commands, "skip", "end one message in flight, or a batch, as a dead letter", _SKIP)
    skip.add_argument("task_id", metavar="ID", help="a task id, as the worker prints it: messages-0-42, or a batch's")
    skip.add_argument("--reason", required=True, metavar="TEXT", help="why: it is kept in the dead letter")
    forget = add_command(commands, "forget", "remove all that Redis holds of a retired consumer group", _FORGET)
    forget.add_argument("group_name", metavar="GROUP", help="the consumer group, by its CONSUMER_GROUP")
    forget.add_argument("--force", action="store_true", help="also what is in flight or not committed")
    add_yes(forget)
    for parser in (pause, resume, drain, skip, forget):
        add_dry_run(parser)
        add_json(parser)


def target(text: str) -> str:
    """A topic by any legal name, or `topic:partition`."""
    if not _TARGET.fullmatch(text):
        raise argparse.ArgumentTypeError("expected TOPIC or TOPIC:PARTITION, such as messages or messages:3")
    return text
