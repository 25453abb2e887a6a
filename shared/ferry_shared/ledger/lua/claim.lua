-- ARGV: 1 ledger, 2 member, 3 token, 4 owner, 5 lease in ms, 6 how many claims without an outcome are too many,
-- 7 '1' when the transport handed this copy back. Returns the verdict, the number of claims, and for a batch the offset
-- up to which nothing is left to do, and the one from which on a truncation of the log has taken its messages.
local refusal = refused_by_head(ARGV[1])
if refusal then
  return {refusal[1] == 'refused' and 'stale' or 'no-ledger', 0}
end
local member = ARGV[2]
if not redis.call('ZSCORE', INFLIGHT, member) then
  return {'gone', 0}
end
local state, now = load_state(member), now_ms()
if state.token ~= ARGV[3] then
  return {'stale', state.claims}
end
if state.error then
  return {'gone', state.claims}
end
if state.owner and state.lease > now and state.owner ~= ARGV[4] then
  return {'busy', state.claims}
end
-- The same owner asking again has lost our reply: it runs, and counts once.
if state.owner ~= ARGV[4] then
  state.claims = state.claims + 1
  state.claimed = now
end
if ARGV[7] == '1' then
  redis.call('HINCRBY', HEAD, 'restored', 1)
end
state.owner = ARGV[4]
state.lease = now + tonumber(ARGV[5])
save_state(member, state, state.lease)
-- A batch claimed again is split, not run: one message must not end the others with it.
local is_poison = state.claims > tonumber(ARGV[6]) and message_count(member) == 1
return {is_poison and 'poison' or 'run', state.claims, state.progress or '', state.below or ''}
