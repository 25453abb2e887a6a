-- ARGV: 1 ledger, 2 epoch, 3 member, 4 token, 5 the last copy that the caller knows, 6 the next copy's Celery message.
local refusal = refused_to_queue(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local member = ARGV[3]
if not redis.call('ZSCORE', INFLIGHT, member) then
  return {'gone'}
end
local state, now = load_state(member), now_ms()
local leased = state.owner and state.lease > now
local early = state.due and state.due > now
if state.token ~= ARGV[4] or int(state.copy) ~= ARGV[5] or state.error or leased or early then
  return {'stale'}
end
state.copy = state.copy + 1
state.deliveries = state.deliveries + 1
state.enqueued = now
state.due, state.owner, state.lease = nil, nil, nil
save_state(member, state, nil)
redis.call('LPUSH', QUEUE, ARGV[6])
return {'enqueued'}
