-- ARGV: 1 ledger, 2 member, 3 token, 4 owner.
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
remove_entry(ARGV[2])
return {'recorded'}
