-- Messages of a batch that go on by themselves, from argument `first` on, four words each: how, offset, and two more:
-- 'queued': its Celery message, nothing. 'retry': its delay in ms, what its next attempt is made of.
-- 'failed': its error, its payload.
-- What the batch's progress covers is recorded already: a call whose reply was lost comes again. What isn't `below` its
-- end any more was taken by a truncation of the log: its offset is, or will be, another record's. So is an entry that is
-- there.
-- Returns what is to be pushed, which comes after everything else that is written, and how many have failed.
local function add_singles(batch, first)
  local epoch, attempt = string.match(batch.token, '^(%d+)%.(%d+)$')
  local later, now, messages = epoch .. '.' .. int(tonumber(attempt) + 1), now_ms(), {}
  local failed = 0
  for argument = first, #ARGV, 4 do
    local how, offset, word, content = unpack(ARGV, argument, argument + 3)
    local left = tonumber(offset) > tonumber(batch.progress or -1) and tonumber(offset) < tonumber(batch.below or math.huge)
    if left and redis.call('ZADD', INFLIGHT, 'NX', offset, offset) == 1 then
      redis.call('HINCRBY', HEAD, 'entries', 1)
      redis.call('HINCRBY', HEAD, 'messages', 1)
      local state = {token = later, copy = 0, claims = 0, deliveries = 0, enqueued = now}
      if how == 'queued' then
        state.copy, state.deliveries = 1, 1
        messages[#messages + 1] = word
        save_state(offset, state, nil)
      elseif how == 'retry' then
        state.due = now + tonumber(word)
        redis.call('HSET', STATE, offset .. ':payload', content)
        save_state(offset, state, state.due)
      else
        -- No message of it will come, so it needs no later token; it was started, or never will be.
        failed = failed + 1
        state.token, state.claims, state.error = batch.token, batch.claims, word
        redis.call('HSET', STATE, offset .. ':payload', content)
        save_state(offset, state, now)
      end
    end
  end
  return messages, failed
end
