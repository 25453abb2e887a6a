-- Read a ledger before it is acquired. ARGV: 1 and 2 the fields of the topic's and the partition's pause.
-- Returns its condition, the number of entries in flight, the head's fields, and the two pauses.
local topic_pause, partition_pause = read_pauses(ARGV[1], ARGV[2])
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', 0, {}, topic_pause, partition_pause}
end
if wrong_type(ledger_kinds()) then
  return {'wrong-type', 0, {}, topic_pause, partition_pause}
end
local entries = redis.call('ZCARD', INFLIGHT)
local head = read_head()
local highest = redis.call('ZRANGE', INFLIGHT, -1, -1)[1]
local sound = is_whole(head) and tonumber(head.entries) == entries
  and (not highest or call_of(string.match(highest, '^%d+')))
return {sound and 'sound' or 'damaged', entries, redis.call('HGETALL', HEAD), topic_pause, partition_pause}
