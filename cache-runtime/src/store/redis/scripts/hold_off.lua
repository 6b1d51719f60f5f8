-- Replaces an entry by an intent that nobody holds, so that nothing is filled until it is over.
--
-- KEYS[1]  the entry
-- ARGV[1]  what entries of the caller's type begin with: magic, format, type identity; 12 bytes
-- ARGV[2]  a token of nobody's, 16 bytes
-- ARGV[3]  how long, ms
--
-- Replies  {1, now} if nothing can be filled, {0, now} if the entry was only deleted
-- Full     the entry is deleted
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local deadline = struct.pack('<I8', now + ARGV[3])
local entry = ARGV[1] .. '\2\0\0\0' .. ARGV[2] .. deadline .. string.rep('\0', 40)
local written = redis.pcall('SET', key, entry, 'PX', ARGV[3])
if not written.err then return {1, now} end
redis.call('DEL', key)
return {0, now}
