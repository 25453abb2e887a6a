-- A task that isn't tracked has received an entry's message, which isn't run. ARGV: 1 ledger, 2 member, 3 token, 4 the
-- task's name, 5 how many claims without an outcome are too many, 6 the error that ends the entry after those.
-- The head counts such receipts by task, as 'count:time of the last one'.
local refusal = refused_by_head(ARGV[1])
if refusal then
  return {refusal[1] == 'refused' and 'stale' or 'no-ledger'}
end
local member = ARGV[2]
if not redis.call('ZSCORE', INFLIGHT, member) then
  return {'gone'}
end
local state, now = load_state(member), now_ms()
if state.token ~= ARGV[3] then
  return {'stale'}
end
if state.error then
  return {'gone'}
end
if state.owner and state.lease > now then
  return {'busy'}
end
local field = 'untracked:' .. ARGV[4]
local count = string.match(redis.call('HGET', HEAD, field) or '', '^(%d+):%d+$') or 0
redis.call('HSET', HEAD, field, int(count + 1) .. ':' .. int(now))
state.claims = state.claims + 1
state.owner, state.lease = nil, nil
if state.claims > tonumber(ARGV[5]) then
  state.error = ARGV[6]
  save_state(member, state, now)
  return {'failed'}
end
save_state(member, state, nil)
return {'counted'}
