-- What kombu's Redis transport still has of an entry's message: waiting in the queue, or taken by a worker (KEYS[7]).
-- What a dead worker had taken comes back by its place in the index (KEYS[8]).
local UNACKED, UNACKED_INDEX = KEYS[7], KEYS[8]
-- Workers put back what they had reserved, at a shutdown in the wrong order: the oldest is somewhere in the last few.
local TAIL_MESSAGES = 20
-- The message's time is the consumer's idea of this server's clock.
local CLOCK_MARGIN_MS = 1000

-- Every message queued before this is no longer waiting; 0 where nothing can be said.
local function waiting_since_ms()
  local oldest = math.huge
  for index = 1, TAIL_MESSAGES do
    local message = redis.call('LINDEX', QUEUE, -index)
    if not message then
      break
    end
    -- The headers come before the body, so a large message is not searched to its end.
    local enqueued = tonumber(string.match(message, '"enqueued_ms": ?(%d+)'))
    if enqueued then
      oldest = math.min(oldest, enqueued)
    elseif index == 1 then
      return 0
    end
  end
  return oldest - CLOCK_MARGIN_MS
end

local function delivery_tag(ledger, member, state, stem, suffix)
  return ledger .. '/' .. stem .. member .. suffix .. '/' .. state.token .. '.' .. int(state.copy)
end

local function is_in_transport(ledger, member, state, stem, suffix, waiting_since)
  if state.enqueued >= waiting_since then
    return true
  end
  local tag = delivery_tag(ledger, member, state, stem, suffix)
  return redis.call('HEXISTS', UNACKED, tag) == 1 and redis.call('ZSCORE', UNACKED_INDEX, tag)
end

-- The spacing doubles with every delivery that nobody claimed.
local function is_old_enough(state, age_ms, now)
  return now - state.enqueued >= age_ms * 2 ^ math.max(0, state.deliveries - 1)
end

-- Only an entry that nobody holds and that waits for nothing can be stranded.
local function is_held(state, now)
  return state.error or state.due or (state.owner and state.lease > now)
end

-- Whether the transport seems to have lost an entry's message.
local function is_stranded(ledger, member, state, stem, suffix, age_ms, now, waiting_since)
  return not is_held(state, now) and is_old_enough(state, age_ms, now)
    and not is_in_transport(ledger, member, state, stem, suffix, waiting_since)
end

-- Without its place in kombu's index a taken message would stay there for ever.
local function forget_taken(ledger, member, state, stem, suffix)
  redis.call('HDEL', UNACKED, delivery_tag(ledger, member, state, stem, suffix))
end
