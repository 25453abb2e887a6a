-- Read together with the head (KEYS[6]), so that a pause that is missing beside it was lifted, not lost.
local PAUSES = KEYS[6]

-- The pause of the topic and that of the partition, '' where there is none; what can't be read keeps the intake shut.
local function read_pauses(topic, partition)
  local kind = redis.call('TYPE', PAUSES).ok
  if kind == 'none' then
    return '', ''
  end
  if kind ~= 'hash' then
    return PAUSES .. ' in Redis holds a ' .. kind .. ', expected a hash', ''
  end
  local found = redis.call('HMGET', PAUSES, topic, partition)
  return found[1] or '', found[2] or ''
end
