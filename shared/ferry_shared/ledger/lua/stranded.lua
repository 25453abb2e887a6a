-- Entries whose message the transport seems to have lost. ARGV: 1 ledger, 2 epoch, 3 age in ms, 4 limit,
-- 5 and 6 what stands before and after the member in a task id, 7 the offset to begin at. Returns member, token and
-- copy of each, and the offset at which to begin the next time: an old entry must not hide all that come later.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local CALLS_SCANNED, ENTRIES_SCANNED = 1000, 2000
local now, age, limit = now_ms(), tonumber(ARGV[3]), tonumber(ARGV[4])
local waiting_since = waiting_since_ms()
local horizon = math.min(now - age, waiting_since)
local last, following = nil, 0
local calls = redis.call('ZRANGEBYSCORE', TIMES, ARGV[7], '+inf', 'LIMIT', 0, CALLS_SCANNED)
for _, call in ipairs(calls) do
  local offset, time = string.match(call, '^(%d+):(%d+):')
  if tonumber(time) >= horizon then
    following = 0
    break
  end
  last, following = offset, #calls == CALLS_SCANNED and offset + 1 or 0
end
local found = {}
if last then
  local members = redis.call('ZRANGEBYSCORE', INFLIGHT, ARGV[7], last, 'LIMIT', 0, ENTRIES_SCANNED)
  if #members == ENTRIES_SCANNED then
    -- From that offset on once more: a batch and its first message, which goes on by itself, have the same one.
    following = tonumber(string.match(members[ENTRIES_SCANNED], '^%d+'))
  end
  for _, member in ipairs(members) do
    local state = load_state(member)
    if state.error or state.due then
      -- An :attention that Redis has lost would keep them waiting for ever.
      redis.call('ZADD', ATTENTION, 'NX', int(state.due or now), member)
    elseif is_stranded(ARGV[1], member, state, ARGV[5], ARGV[6], age, now, waiting_since) then
      found[#found + 1] = {member, state.token, state.copy, redis.call('HGET', STATE, member .. ':payload') or ''}
      if #found >= limit then
        following = string.match(member, '^%d+') + 1
        break
      end
    end
  end
end
return {'stranded', found, int(following)}
