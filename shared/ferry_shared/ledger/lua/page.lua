-- Changes nothing. A page of what is in flight, lowest offset first. ARGV: 1 the offset to begin at, 2 how many entries at
-- most, or one more. Returns the ledger's condition, the server's time, the offset at which to go on ('' after the last),
-- and of each entry its member, its state, and when it was dispatched. A member that isn't Ferry's is passed over.
local MAX_REPLY_BYTES = 1024 * 1024
local now = int(now_ms())
if redis.call('TYPE', HEAD).ok == 'none' then
  return {'absent', now, '', {}}
end
if wrong_type(ledger_kinds()) then
  return {'wrong-type', now, '', {}}
end
local head = read_head()
local sound = is_whole(head) and tonumber(head.entries) == redis.call('ZCARD', INFLIGHT)
local found = redis.call('ZRANGEBYSCORE', INFLIGHT, ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local following = ''
if #found == 2 * tonumber(ARGV[2]) then
  local last = int(tonumber(found[#found]))
  following = int(tonumber(last) + 1)
  -- A batch and its first message, which goes on by itself, have the same score.
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, last, last)) do
    if member > found[#found - 1] then
      found[#found + 1], found[#found + 2] = member, last
    end
  end
end
local entries, bytes = {}, 0
for index = 1, #found, 2 do
  local member = found[index]
  if string.match(member, '^%d+$') or string.match(member, '^%d+%-%d+%-%d+$') then
    local stored = redis.call('HGET', STATE, member)
    bytes = bytes + #(stored or '')
    if bytes > MAX_REPLY_BYTES and #entries > 0 and found[index + 1] ~= found[index - 1] then
      following = int(tonumber(found[index + 1]))
      break
    end
    local state = stored and decoded_state(stored)
    if not state then
      state = state_of_dispatch(member)
      state.error = stored and 'damaged-state: what Redis holds of its state can not be read' or nil
    end
    local call = call_of(string.match(member, '^%d+')) or ''
    entries[#entries + 1] = {member, cjson.encode(state), string.match(call, '^%d+:(%d+):') or '0'}
  end
end
return {sound and 'sound' or 'damaged', now, following, entries}
