-- Changes nothing. What a ledger says of one offset. ARGV: 1 offset, 2 and 3 what stands before and after the member in
-- a task id. Returns the ledger's condition, the server's time, the head's fields, and of the entry that holds the offset
-- its member, state, stored payload, when it was dispatched, and whether a worker has taken its message (KEYS[7]).
local now = int(now_ms())
local nothing = {'', '', '', '0', 0}
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', now, {}, unpack(nothing)}
end
if wrong_type(ledger_kinds()) then
  return {'wrong-type', now, {}, unpack(nothing)}
end
local head = read_head()
local sound = is_whole(head) and tonumber(head.entries) == redis.call('ZCARD', INFLIGHT)
local condition, fields = sound and 'sound' or 'damaged', redis.call('HGETALL', HEAD)
local member = redis.call('ZREVRANGEBYSCORE', INFLIGHT, ARGV[1], '-inf', 'LIMIT', 0, 1)[1]
local holds = member and last_offset(member) >= tonumber(ARGV[1])
local first = holds and string.match(member, '^%d+') or ARGV[1]
local call = redis.call('ZRANGEBYSCORE', TIMES, first, '+inf', 'LIMIT', 0, 1)[1] or ''
local time, epoch = string.match(call, '^%d+:(%d+):(%d+)$')
if not holds then
  -- The calls below the committed offset are forgotten: the next one that is known says nothing of this offset.
  local known = tonumber(ARGV[1]) >= tonumber(head.committed or 0) and tonumber(ARGV[1]) < tonumber(head.position or 0)
  return {condition, now, fields, '', '', '', known and time or '0', 0}
end
local stored = redis.call('HGET', STATE, member)
local sound_state, state = pcall(cjson.decode, stored or '')
if not (sound_state and type(state) == 'table' and type(state.token) == 'string' and type(state.copy) == 'number') then
  state = {token = (epoch or '0') .. '.1', copy = 1, claims = 0, deliveries = 1, enqueued = tonumber(time or 0)}
  state.error = stored and 'damaged-state: what Redis holds of its state can not be read' or nil
end
local tag = (head.ledger or '') .. '/' .. ARGV[2] .. member .. ARGV[3] .. '/' .. state.token .. '.' .. int(state.copy)
local taken = redis.call('TYPE', KEYS[7]).ok == 'hash' and redis.call('HEXISTS', KEYS[7], tag) or 0
return {condition, now, fields, member, cjson.encode(state), redis.call('HGET', STATE, member .. ':payload') or '',
  time or '0', taken}
