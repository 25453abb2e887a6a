-- ARGV: 1 ledger, 2 member, 3 token, 4 owner. The claim still counts: a task that kills its worker must end.
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
state.owner, state.lease = nil, nil
save_state(ARGV[2], state, nil)
return {'recorded'}
