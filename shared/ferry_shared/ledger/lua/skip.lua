-- By an operator, without a lease: an entry in flight has failed, and its dead letter follows. ARGV: 1 member, 2 error,
-- 3 '1' to only say what would be done.
if wrong_type(ledger_kinds()) or refused_by_head(redis.call('HGET', HEAD, 'ledger') or '') then
  return {'no-ledger'}
end
local member = ARGV[1]
if not redis.call('ZSCORE', INFLIGHT, member) then
  return {'gone'}
end
local state = load_state(member)
if state.error then
  return {'failed'}
end
if ARGV[3] == '1' then
  return {'skipped'}
end
state.error = ARGV[2]
state.owner, state.lease, state.due = nil, nil, nil
save_state(member, state, now_ms())
return {'skipped'}
