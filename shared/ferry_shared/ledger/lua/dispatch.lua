-- ARGV: 1 ledger, 2 epoch, 3 expected position, 4 next position, 5 last offset, 6 number of entries to queue,
-- then per queued entry its member and its Celery message, then per invalid entry its member and its error.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local position = redis.call('HGET', HEAD, 'position')
if position ~= ARGV[3] then
  return {'refused', ARGV[1], ARGV[2], position}
end
-- A type error after the first write would leave half a dispatch behind.
for key, kind in pairs({[INFLIGHT] = 'zset', [STATE] = 'hash', [TIMES] = 'zset', [ATTENTION] = 'zset', [QUEUE] = 'list'}) do
  local actual = redis.call('TYPE', key).ok
  if actual ~= kind and actual ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. actual .. ', Ferry needs a ' .. kind)
  end
end
local now = now_ms()
local first_argument, queued = 7, tonumber(ARGV[6])
local scored, messages, count = {}, {}, 0
for entry = 1, queued do
  local member = ARGV[first_argument + 2 * (entry - 1)]
  scored[2 * entry - 1] = string.match(member, '^%d+')
  scored[2 * entry] = member
  messages[entry] = ARGV[first_argument + 2 * entry - 1]
  count = count + message_count(member)
end
for argument = first_argument + 2 * queued, #ARGV, 2 do
  local member = ARGV[argument]
  scored[#scored + 1] = string.match(member, '^%d+')
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
redis.call('HINCRBY', HEAD, 'messages', count)
call_in_chunks('LPUSH', QUEUE, messages)
return {'dispatched', ARGV[4], entries}
