-- Changes nothing. What a ledger says of one offset, or of a batch. ARGV: 1 offset, 2 and 3 what stands before and after
-- the member in a task id, 4 the last offset: another one than the first where a batch is asked for. Returns the
-- ledger's condition, the server's time, the head's fields, and of the entry that holds the offset its member, state,
-- stored payload, when it was dispatched, and whether a worker has taken its message (KEYS[7]).
local MOST_MESSAGES_A_BATCH = 1000

-- A message of a batch that goes on by itself has an entry of its own beside the batch's, which may be running yet.
local function holder(first, last)
  if first ~= last then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, first, first)) do
      if message_count(member) > 1 and last_offset(member) == tonumber(last) then
        return member
      end
    end
    return nil
  end
  if redis.call('ZSCORE', INFLIGHT, first) then
    return first
  end
  for _, member in ipairs(redis.call('ZREVRANGEBYSCORE', INFLIGHT, first, '-inf', 'LIMIT', 0, MOST_MESSAGES_A_BATCH + 1)) do
    if message_count(member) > 1 then
      return last_offset(member) >= tonumber(first) and member or nil
    end
  end
  return nil
end

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
local member = holder(ARGV[1], ARGV[4])
local first = member and string.match(member, '^%d+') or ARGV[1]
local call = redis.call('ZRANGEBYSCORE', TIMES, first, '+inf', 'LIMIT', 0, 1)[1] or ''
local time, epoch = string.match(call, '^%d+:(%d+):(%d+)$')
if not member then
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
