-- ARGV: 1 ledger, 2 epoch, 3 member, 4 for how many ms. What can't be done now must not stand before what can.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
redis.call('ZADD', ATTENTION, 'XX', int(now_ms() + tonumber(ARGV[4])), ARGV[3])
return {'postponed'}
