-- Gives the generation of a tag; a tag without one gets one.
--
-- KEYS[1]  the tag
-- ARGV[1]  a generation for a tag without one, 16 random bytes
-- ARGV[2]  how long the generation is kept at least, ms
--
-- Replies  {generation, now}
-- Full     the error of the write if the tag has none, otherwise its generation
--
-- It is kept twice as long as asked for, and prolonged only when it would be kept for less: the server
-- tells of each prolongation as it does of an invalidation.
local key = KEYS[1]
local kept = tonumber(ARGV[2])
local twice = string.format('%.0f', 2 * kept)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local generation = redis.pcall('GET', key)
if type(generation) == 'table' and not string.find(generation.err, 'WRONGTYPE', 1, true) then
  return generation
end
if type(generation) ~= 'string' or #generation ~= 16 then
  local written = redis.pcall('SET', key, ARGV[1], 'PX', twice)
  if written.err then return written end
  return {ARGV[1], now}
end
local left = redis.call('PTTL', key)
if left >= 0 and left < kept then
  redis.call('PEXPIRE', key, twice)
end
return {generation, now}
