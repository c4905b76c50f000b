"""What Redis does with refused records in one step, so that nobody comes between."""

from __future__ import annotations

# KEYS: the records, their times, those that wait. ARGV: the time up to which they go. Answers how many went.
EXPIRE = """
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
local gone = 0
for _, key in ipairs(old) do
  gone = gone + redis.call('HDEL', KEYS[1], key)
  redis.call('ZREM', KEYS[2], key)
  redis.call('ZREM', KEYS[3], key)
end
return gone
"""

# KEYS: as above. ARGV: keys, each with what is stored there: one that holds something else by now stays.
DROP_SAME = """
for index = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[index + 1] then
    redis.call('HDEL', KEYS[1], ARGV[index])
    redis.call('ZREM', KEYS[2], ARGV[index])
    redis.call('ZREM', KEYS[3], ARGV[index])
  end
end
"""

# KEYS: as above. ARGV: rows of five: a key, what was found there (empty for nothing), what is to stand there, when it
# was tried last, and when it came where it waits (empty where it does not). Answers the keys that hold something else.
CHANGE_SAME = """
local late = {}
for index = 1, #ARGV, 5 do
  local key = ARGV[index]
  if (redis.call('HGET', KEYS[1], key) or '') ~= ARGV[index + 1] then
    late[#late + 1] = key
  else
    redis.call('HSET', KEYS[1], key, ARGV[index + 2])
    redis.call('ZADD', KEYS[2], ARGV[index + 3], key)
    if ARGV[index + 4] == '' then
      redis.call('ZREM', KEYS[3], key)
    else
      redis.call('ZADD', KEYS[3], ARGV[index + 4], key)
    end
  end
end
return late
"""
