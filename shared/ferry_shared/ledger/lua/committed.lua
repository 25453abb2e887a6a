-- ARGV: 1 ledger, 2 epoch, 3 the offset that Kafka now has. Tokens below it are no longer asked for.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
redis.call('HSET', HEAD, 'committed', ARGV[3])
redis.call('ZREMRANGEBYSCORE', TIMES, '-inf', '(' .. ARGV[3])
return {'recorded'}
