-- ARGV: 1 ledger, 2 epoch, 3 how many members that need attention to return at most, 4 and 5 the fields of the topic's
-- and the partition's pause.
local LEASE_RECHECK_MS = 5000
local MAX_REPLY_BYTES = 4 * 1024 * 1024
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local head = read_head()
if not is_whole(head) then
  return {'no-ledger'}
end
local lowest = redis.call('ZRANGE', INFLIGHT, 0, 0, 'WITHSCORES')
local oldest_ms = 0
if lowest[2] then
  oldest_ms = tonumber(string.match(call_of(lowest[2]) or '', '^%d+:(%d+):') or 0)
end
local now = now_ms()
local due, bytes = {}, 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', ATTENTION, '-inf', int(now), 'LIMIT', 0, ARGV[3])) do
  local state = load_state(member)
  if not redis.call('ZSCORE', INFLIGHT, member) then
    redis.call('ZREM', ATTENTION, member)
  elseif state.error or state.due then
    -- Only a retry needs what was stored: Kafka has the record of what failed.
    local payload = state.due and redis.call('HGET', STATE, member .. ':payload') or ''
    bytes = bytes + #payload
    if bytes > MAX_REPLY_BYTES and #due > 0 then
      break
    end
    due[#due + 1] = {member, state.token, state.copy, state.claims, state.deliveries, state.error and 1 or 0,
      state.error or '', state.due and 1 or 0, payload}
  else
    -- A lease has ended: whether its message is lost, `stranded` finds out; failures must not wait behind it.
    redis.call('ZADD', ATTENTION, int(now + LEASE_RECHECK_MS), member)
  end
end
return {'snapshot', head.position, head.committed, head.entries, head.messages, head.dead_letters or '0',
  head.restored or '0', head.rewound or '0', redis.call('ZCARD', INFLIGHT), lowest[2] or '', int(oldest_ms), int(now), due, read_pauses(ARGV[4], ARGV[5])}
