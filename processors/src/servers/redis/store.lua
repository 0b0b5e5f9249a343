-- Applies one step of a view. Returns 1 when the view has the step now or had it already, 0 when
-- the view must be repaired.
-- KEYS: generation, view, and for a queue's view its line.
-- ARGV: identity, epoch, from, to, at, seconds to keep or '', then four lists, each after its
--       length: fields and entries to set; fields to remove; scores and members of the line to add;
--       members to remove.
local identity = ARGV[1]
if redis.call('GET', KEYS[1]) ~= identity then
  return 0 -- emptied or replaced since the last repair: whatever is here may be a part, or old
end

-- Compares decimal texts: as Lua numbers, two values beyond 2^53 could be equal.
local function less(one, other)
  return #one < #other or #one == #other and one < other
end

local epoch, from, to = ARGV[2], ARGV[3], ARGV[4]
local held = '0'
local position = redis.call('HGET', KEYS[2], '@')
if position then
  local held_epoch, held_version, held_identity =
    string.match(position, '^(%d+) (%d+) %-?%d+ (%x+)$')
  if held_identity ~= identity then
    return 0 -- stored before Redis changed its identity: it may be old
  end
  held = held_version
  if less(epoch, held_epoch) then
    return 1
  elseif less(held_epoch, epoch) then
    if from ~= '0' then
      return 0
    end
    redis.call('DEL', unpack(KEYS, 2))
    held = '0'
  end
end
if not less(held, to) then
  return 1
elseif less(held, from) then
  return 0
end

-- Lua's stack holds about 8,000 values: long lists are passed in pieces of even length.
local at = 6
local function each(width, command, key)
  at = at + 1
  local last = at + tonumber(ARGV[at]) * width
  while at < last do
    local stop = math.min(at + 1000, last)
    redis.call(command, key, unpack(ARGV, at + 1, stop))
    at = stop
  end
end
each(2, 'HSET', KEYS[2])
each(1, 'HDEL', KEYS[2])
each(2, 'ZADD', KEYS[3])
each(1, 'ZREM', KEYS[3])
redis.call('HSET', KEYS[2], '@', epoch .. ' ' .. to .. ' ' .. ARGV[5] .. ' ' .. identity)

for index = 2, #KEYS do
  if ARGV[6] == '' then
    redis.call('PERSIST', KEYS[index])
  else
    redis.call('EXPIRE', KEYS[index], ARGV[6])
  end
end
return 1
