-- The consumer ends a batch that failed as a whole, or whose message has vanished: the second look, and all its messages
-- go on by themselves. ARGV: 1 ledger, 2 epoch, 3 member, 4 token, 5 copy as it was found, 6 age in ms, 7 and 8 around the
-- member in a task id, 9 '1' where it has failed, then the messages. Returns how many were queued, how many have failed,
-- up to which offset nothing was left to do, and from which one on a truncation of the log has taken its messages.
local member, now = ARGV[3], now_ms()
local state, refusal = copied_state(ARGV[1], ARGV[2], member, ARGV[4], ARGV[5])
if refusal then
  return refusal
end
-- One that has failed since the first look, by an operator, must not be queued.
if (state.error ~= nil) ~= (ARGV[9] == '1') then
  return {'stale'}
end
if not state.error and not is_stranded(ARGV[1], member, state, ARGV[7], ARGV[8], tonumber(ARGV[6]), now, waiting_since_ms()) then
  return {'stale'}
end
forget_taken(ARGV[1], member, state, ARGV[7], ARGV[8])
local messages, failed = add_singles(state, 10)
remove_entry(member)
call_in_chunks('LPUSH', QUEUE, messages)
return {'divided', #messages, failed, state.progress or '', state.below or ''}
