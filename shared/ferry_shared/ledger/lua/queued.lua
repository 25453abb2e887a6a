-- Changes nothing. Look for a message in the queue (KEYS[6]). ARGV: 1 the index to begin at, then texts of which the
-- message holds one. Returns its index ('-1': not found), where to go on, and the length of the queue.
-- A worker takes from the far end and others add at this one, so going that way misses nothing that stays.
local MAX_SCANNED_BYTES, MESSAGES_AT_ONCE = 2 * 1024 * 1024, 20
local length, index, bytes = redis.call('LLEN', QUEUE), tonumber(ARGV[1]), 0
while index < length and bytes < MAX_SCANNED_BYTES do
  for _, message in ipairs(redis.call('LRANGE', QUEUE, index, index + MESSAGES_AT_ONCE - 1)) do
    for text = 2, #ARGV do
      if string.find(message, ARGV[text], 1, true) then
        return {int(index), int(index), length}
      end
    end
    index, bytes = index + 1, bytes + #message
  end
end
return {'-1', int(index), length}
