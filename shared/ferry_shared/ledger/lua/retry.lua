-- ARGV: 1 ledger, 2 member, 3 token, 4 owner, 5 delay in ms, 6 the message for the next attempt.
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
local epoch, attempt = string.match(state.token, '^(%d+)%.(%d+)$')
state.token = epoch .. '.' .. int(tonumber(attempt) + 1)
state.copy, state.claims, state.deliveries = 0, 0, 0
state.owner, state.lease = nil, nil
state.due = now_ms() + tonumber(ARGV[5])
redis.call('HSET', STATE, ARGV[2] .. ':payload', ARGV[6])
save_state(ARGV[2], state, state.due)
return {'recorded'}
