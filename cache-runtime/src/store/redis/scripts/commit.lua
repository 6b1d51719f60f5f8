-- Stores a written value if nothing has happened since the caller's intent; otherwise deletes
-- the entry, whatever it is.
--
-- KEYS[1]  the entry
-- ARGV[1]  the token of the intent, 16 bytes
-- ARGV[2]  the envelope up to the time of its creation, 48 bytes
-- ARGV[3]  the envelope after it
-- ARGV[4]  how long the key is kept, ms
--
-- Replies  {1, now} if it was stored, {0, now} if the entry was deleted
-- Full     the entry is deleted
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) == 'string' and #head == 80 and string.sub(head, 1, 3) == 'CRE'
  and string.byte(head, 13) == 2 and string.sub(head, 17, 32) == ARGV[1] then
  local entry = ARGV[2] .. struct.pack('<I8', now) .. ARGV[3]
  local written = redis.pcall('SET', key, entry, 'PX', ARGV[4])
  if not written.err then return {1, now} end
end
redis.call('DEL', key)
return {0, now}
