-- Entries whose message the transport seems to have lost. ARGV: 1 ledger, 2 epoch, 3 age in ms, 4 limit,
-- 5 and 6 what stands before and after the member in a task id. Returns member, token and copy of each.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local CALLS_SCANNED, ENTRIES_SCANNED = 1000, 2000
local now, age, limit = now_ms(), tonumber(ARGV[3]), tonumber(ARGV[4])
local waiting_since = waiting_since_ms()
local horizon = math.min(now - age, waiting_since)
local last = nil
for _, call in ipairs(redis.call('ZRANGE', TIMES, 0, CALLS_SCANNED - 1)) do
  local offset, time = string.match(call, '^(%d+):(%d+):')
  if tonumber(time) >= horizon then
    break
  end
  last = offset
end
local found = {}
if last then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', last, 'LIMIT', 0, ENTRIES_SCANNED)) do
    local state = load_state(member)
    if state.error or state.due then
      -- An :attention that Redis has lost would keep them waiting for ever.
      redis.call('ZADD', ATTENTION, 'NX', int(state.due or now), member)
    elseif not is_held(state, now) and is_old_enough(state, age, now)
      and not is_in_transport(ARGV[1], member, state, ARGV[5], ARGV[6], waiting_since) then
      found[#found + 1] = {member, state.token, state.copy, redis.call('HGET', STATE, member .. ':payload') or ''}
      if #found >= limit then
        break
      end
    end
  end
end
return {'stranded', found}
