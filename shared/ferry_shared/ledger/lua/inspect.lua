-- Read a ledger before it is acquired. Returns its condition, the number of entries in flight, and the head's fields.
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', 0, {}}
end
if wrong_type(ledger_kinds()) then
  return {'wrong-type', 0, {}}
end
local entries = redis.call('ZCARD', INFLIGHT)
local head = read_head()
local sound = is_whole(head) and tonumber(head.entries) == entries
return {sound and 'sound' or 'damaged', entries, redis.call('HGETALL', HEAD)}
