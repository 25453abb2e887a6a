-- An entry's message has come to a task that can't run it. ARGV: 1 ledger, 2 member, 3 token, 4 the task's name, 5 how
-- many claims without an outcome are too many, 6 the error that ends the entry after those, 7 why it can't.
-- The head counts such receipts of messages by reason and task, as 'count:time of the last one'.
local member = ARGV[2]
local state, refusal = open_state(ARGV[1], member, ARGV[3])
if not state then
  return refusal
end
local now = now_ms()
if state.owner and state.lease > now then
  return {'busy'}
end
local field = ARGV[7] .. ':' .. ARGV[4]
local count = string.match(redis.call('HGET', HEAD, field) or '', '^(%d+):%d+$') or 0
redis.call('HSET', HEAD, field, int(count + message_count(member)) .. ':' .. int(now))
state.claims = state.claims + 1
state.owner, state.lease = nil, nil
if state.claims > tonumber(ARGV[5]) then
  state.error = ARGV[6]
  save_state(member, state, now)
  return {'failed'}
end
save_state(member, state, nil)
return {'counted'}
