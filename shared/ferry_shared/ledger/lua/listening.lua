-- KEYS: 1 who takes from which queue. ARGV: 1 for how many ms that holds from now on (0: it no longer does), then a member
-- for each queue of one worker. What no longer holds is forgotten, of whichever worker.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
  return {'wrong-type'}
end
local now, holds = now_ms(), tonumber(ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', int(now))
for index = 2, #ARGV do
  if holds > 0 then
    redis.call('ZADD', KEYS[1], int(now + holds), ARGV[index])
  else
    redis.call('ZREM', KEYS[1], ARGV[index])
  end
end
if holds > 0 then
  redis.call('PEXPIRE', KEYS[1], int(holds))
end
return {'told'}
