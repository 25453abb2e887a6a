-- ARGV: 1 ledger, 2 epoch, 3 member, 4 token, 5 the last copy that the caller knows, 6 the next copy's Celery message.
local member, now = ARGV[3], now_ms()
local state, refusal = copied_state(ARGV[1], ARGV[2], member, ARGV[4], ARGV[5])
if refusal then
  return refusal
end
local leased = state.owner and state.lease > now
local early = state.due and state.due > now
if state.error or leased or early then
  return {'stale'}
end
state.copy = state.copy + 1
state.deliveries = state.deliveries + 1
state.enqueued = now
state.due, state.owner, state.lease = nil, nil, nil
save_state(member, state, nil)
redis.call('LPUSH', QUEUE, ARGV[6])
return {'enqueued'}
