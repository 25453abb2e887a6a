-- How far a batch is. ARGV: 1 ledger, 2 member, 3 token, 4 owner, 5 the offset up to which nothing is left to do, or 'all',
-- then the messages up to there that go on by themselves (none of them 'queued': a full Redis must take this).
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
add_singles(state, 6)
if ARGV[5] == 'all' then
  remove_entry(ARGV[2])
else
  -- As text: cjson rounds numbers beyond 14 digits.
  state.progress = int(math.max(tonumber(state.progress or -1), tonumber(ARGV[5])))
  save_state(ARGV[2], state, state.lease)
end
return {'recorded'}
