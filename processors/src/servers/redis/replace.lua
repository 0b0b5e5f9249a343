-- Replaces a whole view by the ledger's, unless a newer one is stored under the same identity.
-- Renews the generation in any case.
-- KEYS: generation, view, and for a queue's view its line.
-- ARGV: identity, epoch, version, at, seconds to keep or '', then two lists, each after its length:
--       fields and entries; scores and members of the line.
redis.call('SET', KEYS[1], ARGV[1])

-- Compares decimal texts: as Lua numbers, two values beyond 2^53 could be equal.
local function less(one, other)
  return #one < #other or #one == #other and one < other
end

local identity, epoch, version = ARGV[1], ARGV[2], ARGV[3]
local position = redis.call('HGET', KEYS[2], '@')
if position then
  local held_epoch, held_version, held_identity =
    string.match(position, '^(%d+) (%d+) %-?%d+ (%x+)$')
  local is_older = less(epoch, held_epoch) or epoch == held_epoch and less(version, held_version)
  if held_identity == identity and is_older then
    return 0
  end
end

redis.call('DEL', unpack(KEYS, 2))
-- Lua's stack holds about 8,000 values: long lists are passed in pieces of even length.
local at = 5
local function each(command, key)
  at = at + 1
  local last = at + tonumber(ARGV[at]) * 2
  while at < last do
    local stop = math.min(at + 1000, last)
    redis.call(command, key, unpack(ARGV, at + 1, stop))
    at = stop
  end
end
each('HSET', KEYS[2])
each('ZADD', KEYS[3])
redis.call('HSET', KEYS[2], '@', epoch .. ' ' .. version .. ' ' .. ARGV[4] .. ' ' .. identity)

if ARGV[5] ~= '' then
  for index = 2, #KEYS do
    redis.call('EXPIRE', KEYS[index], ARGV[5])
  end
end
return 1
