-- Changes nothing. KEYS: 1 who takes from which queue. Returns what holds now, a member for each worker and queue.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'zset' and kind ~= 'none' then
  return {'wrong-type'}
end
return {'listeners', redis.call('ZRANGEBYSCORE', KEYS[1], int(now_ms()), '+inf')}
