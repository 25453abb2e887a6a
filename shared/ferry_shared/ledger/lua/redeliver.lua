-- The second look and the push, in one. ARGV: 1 ledger, 2 epoch, 3 member, 4 token, 5 copy as it was found, 6 the next
-- copy's Celery message, 7 age in ms, 8 how many deliveries are enough, 9 and 10 around the member in a task id, 11 the
-- error that ends the entry after those.
local member, now = ARGV[3], now_ms()
local state, refusal = copied_state(ARGV[1], ARGV[2], member, ARGV[4], ARGV[5])
if refusal then
  return refusal
end
if not is_stranded(ARGV[1], member, state, ARGV[9], ARGV[10], tonumber(ARGV[7]), now, waiting_since_ms()) then
  return {'stale'}
end
if state.deliveries >= tonumber(ARGV[8]) then
  state.error = ARGV[11]
  state.owner, state.lease = nil, nil
  save_state(member, state, now)
  return {'exhausted'}
end
forget_taken(ARGV[1], member, state, ARGV[9], ARGV[10])
state.copy = state.copy + 1
state.deliveries = state.deliveries + 1
state.enqueued = now
state.owner, state.lease = nil, nil
save_state(member, state, nil)
redis.call('LPUSH', QUEUE, ARGV[6])
return {'enqueued'}
