-- A batch ends, and what its worker has not run goes on by itself. ARGV: 1 ledger, 2 member, 3 token, 4 owner, then the
-- messages that go on.
local state, refusal = leased_state(ARGV[1], ARGV[2], ARGV[3], ARGV[4])
if not state then
  return refusal
end
local mistyped = wrong_type({[QUEUE] = 'list'})
if mistyped then
  return mistyped
end
local messages = add_singles(state, 5)
remove_entry(ARGV[2])
call_in_chunks('LPUSH', QUEUE, messages)
return {'recorded'}
