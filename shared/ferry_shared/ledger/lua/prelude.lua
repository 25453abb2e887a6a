-- What every script shares. KEYS: 1 head, 2 in flight, 3 state, 4 times, 5 attention, 6 the queue (where one is used).
local HEAD, INFLIGHT, STATE, TIMES, ATTENTION, QUEUE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local FORMAT = '1'
local UNPACK_LIMIT = 1000

-- Lua prints large numbers as 1e+15; Redis must get every digit.
local function int(number)
  return string.format('%.0f', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Call `command key ...` with the values in calls of at most UNPACK_LIMIT; returns the sum of the replies.
local function call_in_chunks(command, key, values)
  local sum = 0
  for first = 1, #values, UNPACK_LIMIT do
    sum = sum + redis.call(command, key, unpack(values, first, math.min(first + UNPACK_LIMIT - 1, #values)))
  end
  return sum
end

-- nil, or the error to return: an error after the first write would leave half a change behind.
local function wrong_type(kinds)
  for key, kind in pairs(kinds) do
    local actual = redis.call('TYPE', key).ok
    if actual ~= kind and actual ~= 'none' then
      return redis.error_reply('WRONGTYPE ' .. key .. ' holds a ' .. actual .. ', Ferry needs a ' .. kind)
    end
  end
  return nil
end

local function ledger_kinds()
  return {[HEAD] = 'hash', [INFLIGHT] = 'zset', [STATE] = 'hash', [TIMES] = 'zset', [ATTENTION] = 'zset'}
end

-- Whether a head has everything; what it lacks can't be made up for.
local function is_whole(head)
  for _, number in ipairs({head.epoch or '', head.position or '', head.committed or '', head.entries or '', head.messages or ''}) do
    if not string.match(number, '^%d+$') then
      return false
    end
  end
  return head.format == FORMAT and head.ledger and head.cluster_id and head.topic_id
end

local function read_head()
  local flat, head = redis.call('HGETALL', HEAD), {}
  for index = 1, #flat, 2 do
    head[flat[index]] = flat[index + 1]
  end
  return head
end

-- A member is '4711', or for a batch '4711-4810-97': first offset, last offset, count.
local function last_offset(member)
  return tonumber(string.match(member, '^%d+%-(%d+)%-%d+$') or member)
end

-- Looking for the dash first spares single members a pattern, which takes far longer, for a thousand of them in a call.
local function message_count(member)
  return string.find(member, '-', 1, true) and tonumber(string.match(member, '^%d+%-%d+%-(%d+)$')) or 1
end

local function first_offset(member)
  return string.find(member, '-', 1, true) and string.match(member, '^%d+') or member
end

-- nil where the script may go on, else the refusal to return.
local function refused_by_head(ledger, epoch)
  local head = redis.call('HMGET', HEAD, 'format', 'ledger', 'epoch', 'position')
  if not head[2] then
    return {'no-ledger'}
  end
  if head[1] ~= FORMAT or head[2] ~= ledger or (epoch and head[3] ~= epoch) then
    return {'refused', head[2], head[3], head[4]}
  end
  return nil
end

local function save_state(member, state, attention_ms)
  redis.call('HSET', STATE, member, cjson.encode(state))
  if attention_ms then
    redis.call('ZADD', ATTENTION, int(attention_ms), member)
  else
    redis.call('ZREM', ATTENTION, member)
  end
end

local STATE_HAS = {token = 'string', copy = 'number', claims = 'number', deliveries = 'number', enqueued = 'number'}
local STATE_MAY_HAVE = {error = 'string', due = 'number', owner = 'string', lease = 'number', progress = 'string',
  below = 'string'}

-- nil for what none of these scripts has written.
local function decoded_state(stored)
  local sound, state = pcall(cjson.decode, stored)
  if not sound or type(state) ~= 'table' then
    return nil
  end
  for name, kind in pairs(STATE_HAS) do
    if type(state[name]) ~= kind then
      return nil
    end
  end
  for name, kind in pairs(STATE_MAY_HAVE) do
    if state[name] ~= nil and type(state[name]) ~= kind then
      return nil
    end
  end
  local whole = string.match(state.token, '^%d+%.%d+$') and string.match(state.progress or '0', '^%d+$')
    and string.match(state.below or '0', '^%d+$') and (state.lease or not state.owner)
  return whole and state or nil
end

-- The dispatch call that queued an offset; nil only where Redis has lost :times.
local function call_of(offset)
  return redis.call('ZRANGEBYSCORE', TIMES, offset, '+inf', 'LIMIT', 0, 1)[1]
end

-- An entry gets a state at its first claim or failure; until then its dispatch tells its token.
local function state_of_dispatch(member)
  local call = call_of(string.match(member, '^%d+'))
  local time, epoch = string.match(call or '', '^%d+:(%d+):(%d+)$')
  return {token = (epoch or '0') .. '.1', copy = 1, claims = 0, deliveries = 1, enqueued = tonumber(time or 0)}
end

-- A state that can't be read ends its entry as a dead letter: whether it has run, failed or waits is unknown.
local function load_state(member)
  local stored = redis.call('HGET', STATE, member)
  if not stored then
    return state_of_dispatch(member)
  end
  local state = decoded_state(stored)
  if not state then
    state = state_of_dispatch(member)
    state.error = 'damaged-state: what Redis held of its state could not be read'
    save_state(member, state, now_ms())
  end
  return state
end

-- The counts change by what Redis says it removed, so they always equal the entries.
local function remove_entry(member)
  local removed = redis.call('ZREM', INFLIGHT, member)
  redis.call('HDEL', STATE, member, member .. ':payload')
  redis.call('ZREM', ATTENTION, member)
  if removed == 1 then
    redis.call('HINCRBY', HEAD, 'entries', -1)
    redis.call('HINCRBY', HEAD, 'messages', -message_count(member))
  end
  return removed
end

-- The consumer's scripts that queue again: the entry's state while `copy` is its newest, else nil and the reply to give.
local function copied_state(ledger, epoch, member, token, copy)
  local refusal = refused_by_head(ledger, epoch) or wrong_type({[QUEUE] = 'list'})
  if refusal then
    return nil, refusal
  end
  if not redis.call('ZSCORE', INFLIGHT, member) then
    return nil, {'gone'}
  end
  local state = load_state(member)
  if state.token ~= token or int(state.copy) ~= copy then
    return nil, {'stale'}
  end
  return state
end

-- The worker's scripts: the entry's state while its message is the current one, else nil and the reply to give.
local function open_state(ledger, member, token)
  local refusal = refused_by_head(ledger)
  if refusal then
    return nil, refusal[1] == 'refused' and {'stale'} or refusal
  end
  if not redis.call('ZSCORE', INFLIGHT, member) then
    return nil, {'gone'}
  end
  local state = load_state(member)
  if state.token ~= token then
    return nil, {'stale'}
  end
  if state.error then
    return nil, {'gone'}
  end
  return state
end

-- The same, for what only the holder of its lease may say.
local function leased_state(ledger, member, token, owner)
  local state, refusal = open_state(ledger, member, token)
  if state and state.owner ~= owner then
    return nil, {'not-owner'}
  end
  return state, refusal
end
