-- KEYS: 1 the group's pauses. ARGV: 1 topic or topic:partition, 2 who, 3 when in ms (0: now), 4 why, 5 cause.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  return {'wrong-type', kind}
end
local present = redis.call('HGET', KEYS[1], ARGV[1])
if present then
  return {'already', present}
end
local when = tonumber(ARGV[3])
local text = cjson.encode({who = ARGV[2], when_ms = when > 0 and when or now_ms(), why = ARGV[4], cause = ARGV[5]})
redis.call('HSET', KEYS[1], ARGV[1], text)
return {'paused', text}
