-- ARGV: 1 ledger, 2 epoch, 3 expected position, 4 next position, 5 last offset, 6 number of entries to queue, 7 of entries
-- that wait, then per queued entry its member and its Celery message, per waiting entry its member, when it is due, and
-- what is to be queued then, and per invalid entry its member and its error.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local position = redis.call('HGET', HEAD, 'position')
if position ~= ARGV[3] then
  return {'refused', ARGV[1], ARGV[2], position}
end
local kinds = ledger_kinds()
kinds[QUEUE] = 'list'
local mistyped = wrong_type(kinds)
if mistyped then
  return mistyped
end
local now = now_ms()
local first_argument, queued, waiting = 8, tonumber(ARGV[6]), tonumber(ARGV[7])
local scored, messages, count = {}, {}, 0
for entry = 1, queued do
  local member = ARGV[first_argument + 2 * (entry - 1)]
  scored[2 * entry - 1] = first_offset(member)
  scored[2 * entry] = member
  messages[entry] = ARGV[first_argument + 2 * entry - 1]
  count = count + message_count(member)
end
local first_waiting = first_argument + 2 * queued
local first_invalid = first_waiting + 3 * waiting
for argument = first_waiting, first_invalid - 1, 3 do
  local member, due = ARGV[argument], tonumber(ARGV[argument + 1])
  scored[#scored + 1] = first_offset(member)
  scored[#scored + 1] = member
  count = count + 1
  redis.call('HSET', STATE, member .. ':payload', ARGV[argument + 2], member, cjson.encode({
    token = ARGV[2] .. '.1', copy = 0, claims = 0, deliveries = 0, enqueued = now, due = due}))
  redis.call('ZADD', ATTENTION, int(due), member)
end
for argument = first_invalid, #ARGV, 2 do
  local member = ARGV[argument]
  scored[#scored + 1] = first_offset(member)
  scored[#scored + 1] = member
  count = count + 1
  redis.call('HSET', STATE, member, cjson.encode({
    token = ARGV[2] .. '.1', copy = 0, claims = 0, deliveries = 0, enqueued = now, error = ARGV[argument + 1]}))
  redis.call('ZADD', ATTENTION, int(now), member)
end
local added = call_in_chunks('ZADD', INFLIGHT, scored)
if added > 0 then
  redis.call('ZADD', TIMES, ARGV[5], ARGV[5] .. ':' .. int(now) .. ':' .. ARGV[2])
end
redis.call('HSET', HEAD, 'position', ARGV[4])
local entries = redis.call('HINCRBY', HEAD, 'entries', added)
if added < #scored / 2 then
  -- Some were in flight already, and ZADD doesn't say which.
  count = -tonumber(redis.call('HGET', HEAD, 'messages'))
  for _, member in ipairs(redis.call('ZRANGE', INFLIGHT, 0, -1)) do
    count = count + message_count(member)
  end
end
redis.call('HINCRBY', HEAD, 'messages', count)
call_in_chunks('LPUSH', QUEUE, messages)
return {'dispatched', ARGV[4], entries, redis.call('LLEN', QUEUE)}
