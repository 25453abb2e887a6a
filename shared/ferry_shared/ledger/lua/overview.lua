-- Changes nothing. How far a ledger is, whoever owns it. Returns its condition, the server's time, the head's fields,
-- the lowest entry and when that was dispatched ('' and 0 where nothing is in flight).
local now = int(now_ms())
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', now, {}, '', '0'}
end
if wrong_type(ledger_kinds()) then
  return {'wrong-type', now, {}, '', '0'}
end
local head = read_head()
local sound = is_whole(head) and tonumber(head.entries) == redis.call('ZCARD', INFLIGHT)
local lowest = redis.call('ZRANGE', INFLIGHT, 0, 0)[1] or ''
local dispatched = '0'
if lowest ~= '' then
  local call = redis.call('ZRANGEBYSCORE', TIMES, string.match(lowest, '^%d+') or 0, '+inf', 'LIMIT', 0, 1)[1]
  dispatched = string.match(call or '', '^%d+:(%d+):') or '0'
end
return {sound and 'sound' or 'damaged', now, redis.call('HGETALL', HEAD), lowest, dispatched}
