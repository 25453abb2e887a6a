-- Read a ledger before it is acquired. Returns its condition, the number of entries in flight, and the head's fields.
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', 0, {}}
end
for key, kind in pairs({[HEAD] = 'hash', [INFLIGHT] = 'zset', [STATE] = 'hash', [TIMES] = 'zset', [ATTENTION] = 'zset'}) do
  local actual = redis.call('TYPE', key).ok
  if actual ~= kind and actual ~= 'none' then
    return {'wrong-type', 0, {}}
  end
end
local entries = redis.call('ZCARD', INFLIGHT)
local head = redis.call('HMGET', HEAD, 'format', 'ledger', 'entries')
local sound = head[1] == FORMAT and head[2] and tonumber(head[3] or -1) == entries
return {sound and 'sound' or 'damaged', entries, redis.call('HGETALL', HEAD)}
