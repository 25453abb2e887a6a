-- KEYS: 1 the group's pauses. ARGV: 1 topic or topic:partition.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'hash' and kind ~= 'none' then
  return {'wrong-type', kind}
end
local present = redis.call('HGET', KEYS[1], ARGV[1])
if not present then
  return {'not-paused'}
end
redis.call('HDEL', KEYS[1], ARGV[1])
return {'unpaused', present}
