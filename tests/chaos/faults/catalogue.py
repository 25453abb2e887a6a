"""Which function does which kind of fault."""

from collections.abc import Callable, Mapping

from tests.chaos.faults import kafka_faults, network_faults, process_faults, valkey_faults
from tests.chaos.faults.scene import Scene

FAULTS: Mapping[str, Callable[[Scene], str]] = {
    "consumer with an instance id killed": process_faults.killed,
    "consumer without an instance id killed": process_faults.killed,
    "consumer held beyond its session": process_faults.held,
    "consumer joins and leaves": process_faults.joins_and_leaves,
    "worker killed, its children orphaned": process_faults.killed,
    "worker killed with its children": process_faults.killed_with_children,
    "worker held beyond the visibility timeout": process_faults.held,
    "worker restarted": process_faults.restarted,
    "worker child killed": process_faults.child_killed,
    "worker child held beyond its hard limit": process_faults.child_held,
    "beat killed": process_faults.killed,
    "beat held": process_faults.held,
    "Valkey killed, append-only file kept": valkey_faults.killed,
    "Valkey killed, data gone": valkey_faults.killed_and_gone,
    "Valkey held": valkey_faults.held,
    "Valkey away": valkey_faults.away,
    "Valkey restored from an older snapshot": valkey_faults.restored,
    "FLUSHALL": valkey_faults.emptied,
    "Valkey out of memory": valkey_faults.full,
    "key evicted": valkey_faults.evicted,
    "replies to the consumers delayed": network_faults.delayed,
    "packets of the consumers dropped": network_faults.dropped,
    "reply to a script cut": network_faults.cut,
    "Kafka killed": kafka_faults.killed,
    "Kafka held": kafka_faults.held,
    "Kafka away": kafka_faults.killed,
    "group rewound by an operator": kafka_faults.rewound,
    "partitions added": kafka_faults.partitions_added,
}
