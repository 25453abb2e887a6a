-- ARGV: 1 ledger, 2 member, 3 token, 4 owner, 5 error, 6 payload. The entry stays until its dead letter is acknowledged.
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
state.error = ARGV[5]
state.owner, state.lease = nil, nil
redis.call('HSET', STATE, ARGV[2] .. ':payload', ARGV[6])
save_state(ARGV[2], state, now_ms())
return {'recorded'}
