-- The only script that creates or drops a ledger. ARGV: 1-6 the head as it was read (format, ledger, epoch, position,
-- committed, topic id; '' where missing) or '?' in 1 when it could not be read, 7 the ledger's id, 8 the lowest epoch to
-- exceed, 9 position, 10 committed, 11 cluster id, 12 topic id, 13 'drop' or 'keep', 14 drop entries at or above this offset,
-- 15 how many offsets are dispatched again, 16-18 dead letters, restored and rewound as the consumer remembers them,
-- 19 how many partitions the topic had when the group first took this one up.

-- What a batch has from an offset on is dropped: another record's entry can stand there, or will.
local function end_batch_before(member, offset)
  local state = load_state(member)
  if not state.below or tonumber(state.below) > tonumber(offset) then
    state.below = offset
    redis.call('HSET', STATE, member, cjson.encode(state))
  end
end

if ARGV[1] == '?' then
  -- Somebody else may have made it anew since.
  if not wrong_type(ledger_kinds()) then
    local present = redis.call('HMGET', HEAD, 'ledger', 'epoch', 'position')
    return {'refused', present[1] or '', present[2] or '', present[3] or ''}
  end
else
  local present = redis.call('HMGET', HEAD, 'format', 'ledger', 'epoch', 'position', 'committed', 'topic_id')
  for index = 1, 6 do
    if (present[index] or '') ~= ARGV[index] then
      return {'refused', present[2] or '', present[3] or '', present[4] or ''}
    end
  end
end
-- What was counted outlives a drop, and a server that forgot it as long as the consumer knows it: it never goes back.
local counted = {}
for index, name in ipairs({'dead_letters', 'restored', 'rewound'}) do
  local present = redis.call('TYPE', HEAD).ok == 'hash' and redis.call('HGET', HEAD, name) or ''
  counted[name] = math.max(string.match(present, '^%d+$') and #present <= 15 and tonumber(present) or 0, tonumber(ARGV[15 + index]))
end
local epoch = math.max(tonumber(ARGV[3]) or 0, tonumber(ARGV[8])) + 1
local dropped = 0
if ARGV[13] == 'drop' then
  if redis.call('TYPE', INFLIGHT).ok == 'zset' then
    dropped = redis.call('ZCARD', INFLIGHT)
  end
  redis.call('DEL', HEAD, INFLIGHT, STATE, TIMES, ATTENTION)
  redis.call('HSET', HEAD, 'entries', 0, 'messages', 0)
else
  -- A Redis that went back in time restores entries whose records were committed long ago.
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', '(' .. ARGV[10])) do
    if last_offset(member) < tonumber(ARGV[10]) then
      dropped = dropped + remove_entry(member)
    end
  end
  redis.call('ZREMRANGEBYSCORE', TIMES, '-inf', '(' .. ARGV[10])
  if ARGV[14] ~= '' then
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, ARGV[14], '+inf')) do
      dropped = dropped + remove_entry(member)
    end
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', INFLIGHT, '-inf', '(' .. ARGV[14])) do
      if last_offset(member) >= tonumber(ARGV[14]) then
        end_batch_before(member, ARGV[14])
      end
    end
    -- The call that crossed the offset now ends before it: what it dispatched below keeps its token, and what is
    -- dispatched above is a later call's.
    local crossing = redis.call('ZRANGEBYSCORE', TIMES, ARGV[14], '+inf', 'LIMIT', 0, 1)[1]
    redis.call('ZREMRANGEBYSCORE', TIMES, ARGV[14], '+inf')
    local last = int(tonumber(ARGV[14]) - 1)
    -- Nothing lies below offset 0, and no script can read a call that ends there.
    if crossing and tonumber(last) >= 0 and redis.call('ZCOUNT', TIMES, last, last) == 0 then
      redis.call('ZADD', TIMES, last, last .. string.match(crossing, ':.*$'))
    end
  end
end
redis.call('HSET', HEAD, 'format', FORMAT, 'ledger', ARGV[7], 'epoch', int(epoch), 'position', ARGV[9],
  'committed', ARGV[10], 'cluster_id', ARGV[11], 'topic_id', ARGV[12],
  'dead_letters', int(counted.dead_letters), 'restored', int(counted.restored), 'rewound', int(counted.rewound + tonumber(ARGV[15])),
  'partitions', ARGV[19])
return {'acquired', int(epoch), redis.call('ZCARD', INFLIGHT), dropped, tonumber(redis.call('HGET', HEAD, 'messages') or 0)}
