-- ARGV: 1 ledger, 2 epoch, 3 member, 4 token. Its dead letter is in Kafka.
local refusal = refused_by_head(ARGV[1], ARGV[2])
if refusal then
  return refusal
end
local state = load_state(ARGV[3])
if state.token ~= ARGV[4] or not state.error or remove_entry(ARGV[3]) == 0 then
  return {'gone'}
end
redis.call('HINCRBY', HEAD, 'dead_letters', message_count(ARGV[3]))
return {'cleared'}
